// SPDX-License-Identifier: GPL-2.0
/* A pool of elements that are records while used and links while free. */
#include "scx.h"

#define PER_PAGE 64

LICENSE();
ARENA(128);

struct rec {
	u64 stamp; /* none rec.stamp */
	u64 owner; /* the task; kept for debuggers */ /* truth rec.owner -> struct task_struct (kernel) */
	u32 cpu;
	u32 kind;
};

union elem {
	struct rec rec;
	struct {
		u64 generation;
		u64 next; /* truth union elem.idle.next -> union elem (arena) */
	} idle;
};

struct pool {
	u64 free; /* truth pool.free -> union elem (arena) */
	u64 page; /* truth pool.page -> union elem (arena) */
	u32 used;
	u32 nr_pages;
};

struct cpu_log {
	u64 last; /* truth cpu_log.last -> struct rec | union elem (arena) */
	u64 dropped;
};

struct pool pool;
MAP(logs, BPF_MAP_TYPE_PERCPU_ARRAY, 1, u32, struct cpu_log);

/* So that the object describes it: what tools read. */
union elem __arena *first_elem;

static __noinline union elem __arena *pool_get(struct pool *pool)
{
	union elem __arena *e = (union elem __arena *)pool->free;

	if (e) {
		pool->free = e->idle.next;
		return e;
	}
	if (!pool->page || pool->used >= PER_PAGE) {
		pool->page = (u64)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!pool->page)
			return NULL;
		pool->used = 0;
		pool->nr_pages++;
	}
	e = (union elem __arena *)pool->page + pool->used++;
	if (!first_elem)
		first_elem = e;
	return e;
}

static __noinline void pool_put(struct pool *pool, union elem __arena *e)
{
	e->idle.generation++;
	e->idle.next = pool->free;
	pool->free = (u64)e;
}

OP1(void, running, struct task_struct *, p)
{
	u32 zero = 0;
	struct cpu_log *log = bpf_map_lookup_elem(&logs, &zero);
	union elem __arena *e, *old;

	if (!log)
		return;
	e = pool_get(&pool);
	if (!e) {
		log->dropped++;
		return;
	}
	e->rec.stamp = bpf_ktime_get_ns();
	e->rec.owner = (u64)p;
	e->rec.cpu = bpf_get_smp_processor_id();
	e->rec.kind = p->flags;
	old = (union elem __arena *)log->last;
	log->last = (u64)e;
	if (old)
		pool_put(&pool, old);
}

OPS(DO(running), .name = "pool_union");
