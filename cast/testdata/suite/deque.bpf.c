// SPDX-License-Identifier: GPL-2.0
/* Work-stealing deques: rings that are replaced by larger ones, with the old one
 * kept; owners and thieves meet by atomics. */
#include "suite.h"
ARENA_MAP;

struct work {
	u64 deadline;
	u32 pid;
	u32 cpu;
	struct deque __arena *home;
};
struct ring {
	u64 mask; /* truth: ring.mask number */
	struct ring __arena *older;
	struct work __arena *slots[32];
};
struct deque {
	u64 top; /* truth: deque.top number */
	u64 bottom; /* truth: deque.bottom number */
	struct ring __arena *cur;
	struct deque __arena *victim;
};
struct deque __arena deques[32];

__weak int deque_push(struct deque __arena *d __arg_arena, struct work __arena *w __arg_arena)
{
	struct ring __arena *r, *bigger;

	if (!d || !w)
		return -1;
	r = READ_ONCE(d->cur);
	if (!r || d->bottom - d->top > r->mask) {
		bigger = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!bigger)
			return -1;
		bigger->mask = r ? r->mask * 2 + 1 : 7;
		bigger->older = r;
		WRITE_ONCE(d->cur, bigger);
		r = bigger;
	}
	r->slots[d->bottom & 31] = w;
	w->home = d;
	__sync_fetch_and_add(&d->bottom, 1);
	return 0;
}

static __noinline struct work __arena *steal(struct deque __arena *d)
{
	u64 top = READ_ONCE(d->top);
	struct ring __arena *r = READ_ONCE(d->cur);
	struct work __arena *w;

	if (!r || top >= d->bottom)
		return NULL;
	w = READ_ONCE(r->slots[top & 31]);
	if (__sync_val_compare_and_swap(&d->top, top, top + 1) != top)
		return NULL;
	return w;
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	u32 cpu = bpf_get_smp_processor_id() & 31;
	struct work __arena *w = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

	if (!w)
		return;
	w->pid = p->pid;
	w->deadline = bpf_ktime_get_ns();
	w->cpu = cpu;
	deques[cpu].victim = &deques[(cpu + 1) & 31];
	deque_push(&deques[cpu], w);
}

SEC("struct_ops/dispatch")
void dispatch(u64 *ctx)
{
	u32 cpu = bpf_get_smp_processor_id() & 31;
	struct deque __arena *victim = deques[cpu].victim;
	struct work __arena *w;

	if (!victim)
		return;
	w = steal(victim);
	if (w && w->home)
		deque_push(w->home, w);
}
SCHED(.enqueue = (void *)enqueue, .dispatch = (void *)dispatch);
