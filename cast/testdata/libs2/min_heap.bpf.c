/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A min-heap whose elements are pairs of a weight and an untyped pointer, in an array that is
 * allocated apart and doubles. What is in the heap knows its place.
 */
#include "../heldout/scx.h"

ARENA(1024);

struct elem {
	u64 weight;
	void __arena *data;	/* truth elem.data -> struct timer_ent (arena) */
};

struct heap {
	void __arena *elems;	/* truth heap.elems -> struct elem (arena) */
	u64 nr;
	u64 capacity;
	void __arena *last;	/* truth heap.last -> struct timer_ent (arena) */
};

struct timer_ent {
	void __arena *heap;	/* truth timer_ent.heap -> struct heap (arena) */
	void *task;		/* truth timer_ent.task -> struct task_struct (kernel) */
	u64 index;
	u64 deadline;
	void __arena *next_free;	/* truth timer_ent.next_free -> struct timer_ent (arena) */
};

struct cpu {
	void __arena *heap;	/* truth cpu.heap -> struct heap (arena) */
	void __arena *spare;	/* truth cpu.spare -> struct timer_ent (arena) */
	u64 now;
};
MAP(cpus, BPF_MAP_TYPE_PERCPU_ARRAY, 1, u32, struct cpu);

static __noinline int heap_place(struct heap __arena *h, u64 at, struct elem __arena *e)
{
	struct elem __arena *to = (struct elem __arena *)h->elems + at;

	to->weight = e->weight;
	to->data = e->data;
	((struct timer_ent __arena *)e->data)->index = at;
	return 0;
}

static __noinline int heap_swap(struct heap __arena *h, u64 a, u64 b)
{
	struct elem __arena *elems = h->elems;
	struct elem tmp;

	tmp.weight = elems[a].weight;
	tmp.data = elems[a].data;
	heap_place(h, a, &elems[b]);
	elems[b].weight = tmp.weight;
	elems[b].data = tmp.data;
	((struct timer_ent __arena *)tmp.data)->index = b;
	return 0;
}

static __noinline int heap_grow(struct heap __arena *h)
{
	struct elem __arena *more, *old = h->elems;
	u64 i;

	more = bpf_arena_alloc_pages(&arena, NULL, 4, -1, 0);
	if (!more)
		return -12;
	for (i = 0; i < h->nr && can_loop(); i++) {
		more[i].weight = old[i].weight;
		more[i].data = old[i].data;
	}
	if (old)
		bpf_arena_free_pages(&arena, old, 4);
	h->elems = more;
	h->capacity = h->capacity ? 2 * h->capacity : 512;
	return 0;
}

static __noinline int heap_push(struct heap __arena *h, u64 weight, void __arena *data)
{
	struct elem __arena *elems;
	u64 at = h->nr;

	if (at >= h->capacity && heap_grow(h))
		return -12;
	elems = h->elems;
	elems[at].weight = weight;
	elems[at].data = data;
	h->nr++;
	while (at && can_loop()) {
		u64 up = (at - 1) / 2;

		if (elems[up].weight <= elems[at].weight)
			break;
		heap_swap(h, up, at);
		at = up;
	}
	return 0;
}

static __noinline void __arena *heap_pop(struct heap __arena *h)
{
	struct elem __arena *elems = h->elems;
	void __arena *least;
	u64 at = 0, kid;

	if (!h->nr)
		return NULL;
	least = elems[0].data;
	h->nr--;
	heap_place(h, 0, &elems[h->nr]);
	while (can_loop()) {
		kid = 2 * at + 1;
		if (kid >= h->nr)
			break;
		if (kid + 1 < h->nr && elems[kid + 1].weight < elems[kid].weight)
			kid++;
		if (elems[at].weight <= elems[kid].weight)
			break;
		heap_swap(h, at, kid);
		at = kid;
	}
	h->last = least;
	return least;
}

static struct cpu *this_cpu(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&cpus, &zero);
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	struct cpu *c = this_cpu();
	struct timer_ent __arena *t;

	if (!c)
		return;
	if (!c->heap)
		c->heap = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!c->heap)
		return;
	t = c->spare;
	if (t)
		c->spare = t->next_free;
	else
		t = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!t)
		return;
	t->task = p;
	t->heap = c->heap;
	t->deadline = c->now + p->scx.slice;
	heap_push(t->heap, t->deadline, t);
}

OP2(void, dispatch, s32, cpu, struct task_struct *, prev)
{
	struct cpu *c = this_cpu();
	struct timer_ent __arena *t;

	if (!c || !c->heap)
		return;
	t = heap_pop(c->heap);
	if (!t)
		return;
	c->now = t->deadline;
	t->next_free = c->spare;
	c->spare = t;
}

DESCRIBE(elem);
DESCRIBE(timer_ent);
OPS(DO(enqueue), DO(dispatch), .name = "min_heap");
LICENSE();
