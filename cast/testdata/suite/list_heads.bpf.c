// SPDX-License-Identifier: GPL-2.0
/* Circular lists whose heads are of the same type as the links in what they hold,
 * two in each object; what is at a link is its holder only by the list it is in. */
#include "suite.h"
ARENA_MAP;

struct lhead {
	u64 next; /* truth: lhead.next -> struct lhead (arena) */
	u64 prev; /* truth: lhead.prev -> struct lhead (arena) */
};
struct work {
	u64 deadline; /* truth: work.deadline number */
	struct lhead queue;
	struct lhead mine;
	u64 home; /* truth: work.home -> struct lane (arena) */
	u32 pid;
	u32 nr;
};
struct lane {
	struct lhead works;
	u64 vtime; /* truth: lane.vtime number */
	u64 up; /* truth: lane.up -> struct lane (arena) */
	u32 id;
};
struct wref {
	u64 work; /* truth: wref.work -> struct work (arena) */
};
TASK_MAP(wrefs, struct wref);
struct work __arena *typed_work;
struct lane __arena *typed_lane;
struct lhead __arena *typed_head;
u64 top_lane; /* truth: .bss.top_lane -> struct lane (arena) */

static void lhead_init(struct lhead __arena *h)
{
	h->next = h->prev = (u64)h;
}

static void lhead_add(struct lhead __arena *n, struct lhead __arena *h)
{
	struct lhead __arena *last = (struct lhead __arena *)h->prev;

	n->next = (u64)h;
	n->prev = (u64)last;
	last->next = (u64)n;
	h->prev = (u64)n;
}

static void lhead_del(struct lhead __arena *n)
{
	struct lhead __arena *next = (struct lhead __arena *)n->next, *prev = (struct lhead __arena *)n->prev;

	next->prev = (u64)prev;
	prev->next = (u64)next;
	n->next = 0;
}

SEC("struct_ops/init_task")
int init_task(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct wref *ref = bpf_task_storage_get(&wrefs, p, NULL, 1);
	struct work __arena *w;
	struct lane __arena *l;

	if (!ref)
		return 1;
	if (!top_lane) {
		l = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!l)
			return 1;
		lhead_init(&l->works);
		l->id = 1;
		l->up = 0;
		top_lane = (u64)l;
	}
	w = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!w)
		return 1;
	w->pid = p->pid;
	w->home = top_lane;
	lhead_init(&w->queue);
	lhead_init(&w->mine);
	ref->work = (u64)w;
	return 0;
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct wref *ref = bpf_task_storage_get(&wrefs, p, NULL, 0);
	struct work __arena *w;
	struct lane __arena *l;

	if (!ref || !ref->work)
		return;
	w = (struct work __arena *)ref->work;
	w->deadline = bpf_ktime_get_ns();
	l = (struct lane __arena *)w->home;
	for_times(i, 4) {
		if (!l || !l->up)
			break;
		l->vtime++;
		l = (struct lane __arena *)l->up;
	}
	if (l)
		lhead_add(&w->queue, &l->works);
}

SEC("struct_ops/dispatch")
void dispatch(u64 *ctx)
{
	struct lane __arena *l = (struct lane __arena *)top_lane;
	struct lhead __arena *h;
	struct work __arena *w;

	if (!l)
		return;
	h = (struct lhead __arena *)l->works.next;
	if (h == &l->works)
		return;
	w = container_of(h, struct work, queue);
	w->nr++;
	lhead_del(h);
}

SCHED(.enqueue = (void *)enqueue, .dispatch = (void *)dispatch, .init_task = (void *)init_task);
