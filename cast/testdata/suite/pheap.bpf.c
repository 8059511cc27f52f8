// SPDX-License-Identifier: GPL-2.0
/* A heap of elements in an array of the arena, each a key and a pointer, swapped as
 * they sift; contexts found by an id through a bitmap and a table; a list by which
 * the least recent one is evicted. */
#include "suite.h"
ARENA_MAP;
#define HEAP_MAX 64

struct helem {
	u64 key;
	struct actx __arena *owner;
};
struct heap {
	u32 nr;
	u32 max;
	struct helem __arena *elems;
	struct helem spare;
};
struct actx {
	u64 deadline;
	u32 id;
	u32 pos;
	struct actx __arena *lru_next;
	struct actx __arena *lru_prev;
	struct heap __arena *heap;
};
struct lru {
	struct actx __arena *newest;
	struct actx __arena *oldest;
	u64 nr;
};
struct table {
	u64 used[4];
	struct actx __arena *by_id[256];
	struct lru lru;
};
struct table __arena *table;
struct heap __arena *heap;

static void swap_elems(struct helem __arena *a, struct helem __arena *b)
{
	struct helem tmp;

	tmp.key = a->key;
	tmp.owner = a->owner;
	a->key = b->key;
	a->owner = b->owner;
	b->key = tmp.key;
	b->owner = tmp.owner;
}

__weak int heap_push(struct heap __arena *h __arg_arena, struct actx __arena *c __arg_arena)
{
	u32 at, up;

	if (!h || !c || h->nr >= HEAP_MAX)
		return -1;
	at = h->nr++;
	h->elems[at & 63].key = c->deadline;
	h->elems[at & 63].owner = c;
	c->heap = h;
	for_times(i, 6) {
		if (!at)
			break;
		up = (at - 1) / 2;
		if (h->elems[up & 63].key <= h->elems[at & 63].key)
			break;
		swap_elems(&h->elems[up & 63], &h->elems[at & 63]);
		h->elems[at & 63].owner->pos = at;
		at = up;
	}
	return 0;
}

static void lru_touch(struct lru __arena *l, struct actx __arena *c)
{
	if (c->lru_prev)
		c->lru_prev->lru_next = c->lru_next;
	if (c->lru_next)
		c->lru_next->lru_prev = c->lru_prev;
	else if (l->oldest == c)
		l->oldest = c->lru_prev;
	c->lru_prev = NULL;
	c->lru_next = l->newest;
	if (l->newest)
		l->newest->lru_prev = c;
	else
		l->oldest = c;
	l->newest = c;
}

static struct actx __arena *ctx_of(u32 id)
{
	struct actx __arena *c;

	id &= 255;
	if (table->used[id / 64] & 1ULL << (id & 63))
		return table->by_id[id];
	c = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!c)
		return NULL;
	c->id = id;
	table->used[id / 64] |= 1ULL << (id & 63);
	table->by_id[id] = c;
	table->lru.nr++;
	return c;
}

SEC("struct_ops/init_task")
int init_task(u64 *ctx)
{
	if (table)
		return 0;
	table = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	heap = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!table || !heap)
		return 1;
	heap->elems = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	heap->max = HEAP_MAX;
	return 0;
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct actx __arena *c;

	if (!table || !heap)
		return;
	c = ctx_of(p->pid);
	if (!c)
		return;
	c->deadline = bpf_ktime_get_ns() + 1000;
	lru_touch(&table->lru, c);
	heap_push(heap, c);
}

SEC("struct_ops/dispatch")
void dispatch(u64 *ctx)
{
	struct actx __arena *c;

	if (!heap || !heap->nr)
		return;
	c = heap->elems[0].owner;
	heap->elems[0].key = heap->elems[--heap->nr & 63].key;
	heap->elems[0].owner = heap->elems[heap->nr & 63].owner;
	if (c && c->lru_next)
		c->lru_next->deadline++;
	if (table && table->lru.oldest)
		table->lru.oldest->pos = 0;
}
SCHED(.init_task = (void *)init_task, .enqueue = (void *)enqueue, .dispatch = (void *)dispatch);
