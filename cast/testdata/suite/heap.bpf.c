// SPDX-License-Identifier: GPL-2.0
/* A binary heap of elements with a weight, which serves tasks and timers. */
#include "suite.h"
ARENA_MAP;
#define CAP 128

struct helem {
	u64 elem; /* truth: helem.elem different */
	u64 weight; /* truth: helem.weight number */
};
struct minheap {
	u64 size;
	u64 capacity;
	struct helem helems[CAP];
};
struct tctx {
	u64 deadline;
	u32 pid;
	u32 weight;
	struct minheap __arena *home;
};
struct wake {
	u64 at;
	struct tctx __arena *who;
	u32 nr;
};
struct domain {
	u32 id;
	struct minheap __arena *runnable;
	struct minheap __arena *wakes;
	struct domain __arena *sibling;
};
struct domain __arena *domains[4];

__weak int heap_push(struct minheap __arena *h __arg_arena, u64 elem, u64 weight)
{
	u64 at;

	if (!h || h->size >= CAP)
		return -1;
	at = h->size++;
	for_times(i, 8) {
		u64 up = (at - 1) / 2;

		if (!at || h->helems[up & 127].weight <= weight)
			break;
		h->helems[at & 127].elem = h->helems[up & 127].elem;
		h->helems[at & 127].weight = h->helems[up & 127].weight;
		at = up;
	}
	h->helems[at & 127].elem = elem;
	h->helems[at & 127].weight = weight;
	return 0;
}

__weak int heap_pop(struct minheap __arena *h __arg_arena, u64 *elem)
{
	if (!h || !elem || !h->size)
		return -1;
	*elem = h->helems[0].elem;
	h->size--;
	h->helems[0].elem = h->helems[h->size & 127].elem;
	h->helems[0].weight = h->helems[h->size & 127].weight;
	return 0;
}

__weak int tctx_queue(struct tctx __arena *t __arg_arena, struct domain __arena *d __arg_arena)
{
	if (!t || !d)
		return -1;
	t->home = d->runnable;
	return heap_push(d->runnable, (u64)t, t->deadline);
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct domain __arena *d = domains[p->pid & 3];
	struct tctx __arena *t;
	struct wake __arena *w;

	if (!d) {
		d = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!d)
			return;
		d->id = p->pid & 3;
		d->runnable = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		d->wakes = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		d->sibling = domains[0];
		domains[p->pid & 3] = d;
	}
	t = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	w = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!t || !w)
		return;
	t->pid = p->pid;
	t->deadline = bpf_ktime_get_ns();
	w->at = t->deadline + 100;
	w->who = t;
	w->nr = 1;
	tctx_queue(t, d);
	heap_push(d->wakes, (u64)w, w->at);
}

SEC("struct_ops/dispatch")
void dispatch(u64 *ctx)
{
	struct domain __arena *d = domains[1];
	u64 elem;

	if (!d)
		return;
	if (d->sibling && !heap_pop(d->sibling->runnable, &elem))
		((struct tctx __arena *)elem)->weight++;
	if (!heap_pop(d->wakes, &elem))
		tctx_queue(((struct wake __arena *)elem)->who, d);
}
SCHED(.enqueue = (void *)enqueue, .dispatch = (void *)dispatch);
