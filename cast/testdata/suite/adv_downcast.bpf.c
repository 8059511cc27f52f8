// SPDX-License-Identifier: GPL-2.0
/* A stack of hooks whose elements come back as what holds the hook: by a cast, to a
 * function that gets the same from an array, too. */
#include "suite.h"
ARENA_MAP;

struct hook {
	u64 under; /* truth: hook.under -> struct hook (arena) */
};
struct pile {
	u64 top; /* truth: pile.top -> struct hook (arena) */
	u32 nr;
	u32 max;
};
struct lane {
	struct hook hook;
	u64 since; /* truth: lane.since number */
	u64 load; /* truth: lane.load number */
	u32 cpu;
};
struct seat {
	u64 lane; /* truth: seat.lane -> struct lane (arena) */
	u64 seen; /* truth: seat.seen number */
};
struct pile piles[2];
u64 lanes[16]; /* truth: .bss.lanes[] -> struct lane (arena) */
TASK_MAP(seats, struct seat);

static __noinline void pile_push(struct pile *p, struct hook __arena *h)
{
	h->under = p->top;
	p->top = (u64)h;
	p->nr++;
}

static __noinline struct hook __arena *pile_pop(struct pile *p)
{
	struct hook __arena *h = (struct hook __arena *)p->top;

	if (h) {
		p->top = h->under;
		p->nr--;
	}
	return h;
}

static __noinline int seat_in(struct seat *s, struct lane __arena *l)
{
	s->lane = (u64)l;
	s->seen = 1;
	l->since = 0;
	return l->cpu;
}

SEC("struct_ops/init_task")
int init_task(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct lane __arena *l = (struct lane __arena *)lanes[p->pid & 15];

	if (!l) {
		l = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!l)
			return 1;
		l->cpu = p->pid & 15;
		l->load = 1;
		lanes[p->pid & 15] = (u64)l;
	}
	pile_push(&piles[p->pid & 1], &l->hook);
	return 0;
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct seat *s = bpf_task_storage_get(&seats, p, NULL, 1);
	struct hook __arena *h;

	if (!s)
		return;
	h = pile_pop(&piles[p->pid & 1]);
	if (h)
		seat_in(s, (struct lane __arena *)h);
}

SEC("struct_ops/dispatch")
void dispatch(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 1);
	struct seat *s = bpf_task_storage_get(&seats, p, NULL, 1);
	struct lane __arena *l = (struct lane __arena *)lanes[bpf_get_smp_processor_id() & 15];

	if (s && l)
		seat_in(s, l);
}

SCHED(.init_task = (void *)init_task, .enqueue = (void *)enqueue, .dispatch = (void *)dispatch);
