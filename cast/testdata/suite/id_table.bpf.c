// SPDX-License-Identifier: GPL-2.0
/* A table of pointers by id, with a bitmap of the ids that are free, and stacks of
 * free objects for each CPU in a map's values. */
#include "suite.h"
ARENA_MAP;

#define NR_IDS 128

struct actor {
	u32 id;
	u32 state;
	u64 deadline; /* truth: actor.deadline number */
	u64 partner; /* truth: actor.partner -> struct actor (arena) */
	u64 next_free; /* truth: actor.next_free -> struct actor (arena) */
};
struct registry {
	u64 bits[NR_IDS / 64]; /* truth: registry.bits[] number */
	u64 actors[NR_IDS]; /* truth: registry.actors[] -> struct actor (arena) */
};
struct cpu_pool {
	u64 free; /* truth: cpu_pool.free -> struct actor (arena) */
	u64 refills; /* truth: cpu_pool.refills number */
	u64 registry; /* truth: cpu_pool.registry -> struct registry (arena) */
};
struct {
	__uint(type, PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct cpu_pool);
} pools SEC(".maps");

struct task_ref {
	u64 actor; /* truth: task_ref.actor -> struct actor (arena) */
	u64 since; /* truth: task_ref.since number */
};
TASK_MAP(task_refs, struct task_ref);
struct actor __arena *typed_actor;
struct registry __arena *typed_registry;
void __arena *shared_registry; /* truth: .bss.shared_registry -> struct registry (arena) */

static __noinline int refill(struct cpu_pool *pool)
{
	struct actor __arena *a = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

	if (!a)
		return -1;
	for_times(i, 4096 / sizeof(*a)) {
		a[i].next_free = pool->free;
		pool->free = (u64)&a[i];
	}
	pool->refills++;
	return 0;
}

static __noinline u32 id_get(struct registry __arena *r)
{
	for_times(i, NR_IDS) {
		u64 bit = 1ull << (i & 63);

		if (!(r->bits[i / 64] & bit)) {
			r->bits[i / 64] |= bit;
			return i;
		}
	}
	return NR_IDS;
}

SEC("struct_ops/init_task")
int init_task(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct task_ref *ref = bpf_task_storage_get(&task_refs, p, NULL, 1);
	struct cpu_pool *pool = LOOKUP(pools);
	struct registry __arena *r;
	struct actor __arena *a;
	u32 id;

	if (!ref || !pool)
		return 1;
	if (!shared_registry)
		shared_registry = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	pool->registry = (u64)shared_registry;
	r = (struct registry __arena *)pool->registry;
	if (!r || (!pool->free && refill(pool)))
		return 1;
	a = (struct actor __arena *)pool->free;
	if (!a)
		return 1;
	id = id_get(r);
	if (id >= NR_IDS)
		return 1;
	pool->free = a->next_free;
	a->id = id;
	a->state = 1;
	a->partner = r->actors[(id ^ 1) & (NR_IDS - 1)];
	r->actors[id & (NR_IDS - 1)] = (u64)a;
	ref->actor = (u64)a;
	ref->since = bpf_ktime_get_ns();
	return 0;
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct task_ref *ref = bpf_task_storage_get(&task_refs, p, NULL, 0);
	struct actor __arena *a, *with;

	if (!ref || !ref->actor)
		return;
	a = (struct actor __arena *)ref->actor;
	a->deadline = bpf_ktime_get_ns() + 1000;
	with = (struct actor __arena *)a->partner;
	if (with && with->deadline < a->deadline)
		with->state++;
}

SCHED(.enqueue = (void *)enqueue, .init_task = (void *)init_task);
