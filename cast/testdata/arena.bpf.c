// SPDX-License-Identifier: GPL-2.0
/* Objects in an arena: no type says what the allocator returns. Which struct a
 * u64 leads to shows in the accesses through it. */
#include "cast.h"

#define __arena __attribute__((address_space(1)))

struct {
	__uint(type, ARENA);
	__uint(map_flags, 1024);
	__uint(max_entries, 16);
} arena SEC(".maps");

extern void __arena *bpf_arena_alloc_pages(void *map, void __arena *addr, u32 pages, int node, u64 flags) __ksym;

struct stats {
	s32 pid;
	u32 generation;
	u64 runs;
	u64 buckets[4];
};

struct list_elem {
	u64 next;
	u32 weight;
	u32 flags;
	u64 stats;
};

/* Of the same size as stats, and differently laid out. */
struct decoy {
	u64 a;
	u32 b, c;
	u64 d[4];
};

struct holder {
	u64 stats;
	u64 untouched;
	struct decoy decoy;
};

SINGLE(holders, struct holder);

u64 pool;
u64 head;

/* That there are pointers to them by type is what puts structs into BTF. */
struct stats __arena *typed_stats;
struct list_elem __arena *typed_elem;

static void __arena *alloc(void)
{
	return bpf_arena_alloc_pages(&arena, 0, 1, -1, 0);
}

SEC("struct_ops/init_task")
int init_task(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct holder *h = LOOKUP(holders);
	struct stats __arena *s;
	struct list_elem __arena *e;
	u32 i = bpf_get_prandom_u32() & 7;

	if (typed_stats || typed_elem)
		return 1;
	if (!pool)
		pool = (u64)alloc(); /* want .bss.pool -> struct stats (arena, likely) */
	s = (struct stats __arena *)pool + i;
	s->pid = p->pid;
	s->generation++;
	s->buckets[i & 3]++;
	if (h)
		h->stats = (u64)s;

	e = alloc();
	if (!e)
		return 1;
	e->next = head; /* want list_elem.next -> struct list_elem (arena, likely) */
	e->weight = 1;
	e->flags = 2;
	e->stats = (u64)s; /* want list_elem.stats -> struct stats (arena, likely) */
	head = (u64)e;
	return 0;
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct list_elem __arena *e;
	struct holder *h = LOOKUP(holders);

	if (h && h->stats)
		((struct stats __arena *)h->stats)->runs++; /* want holder.stats -> struct stats (arena, likely) */
	for (e = (void __arena *)head; e; e = (void __arena *)e->next)
		e->weight++; /* want .bss.head -> struct list_elem (arena, likely) */
}

SEC(".struct_ops.link")
struct test_ops ops = {
	.enqueue = (void *)enqueue,
	.init_task = (void *)init_task,
};
