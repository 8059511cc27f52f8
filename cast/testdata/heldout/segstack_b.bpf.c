// SPDX-License-Identifier: GPL-2.0
/* A scheduler that keeps its idle work items on a segmented stack. */
#include "segstack.h"

LICENSE();
ARENA(1024);

struct work {
	u64 when;
	s32 pid;
	s32 cpu;
	u64 chain; /* truth work.chain -> struct work (arena) */
};

u64 idle_works; /* truth .bss.idle_works -> struct segstack (arena) */
u64 pending[64]; /* truth .bss.pending[] -> struct work (arena) */
u64 ticket; /* none .bss.ticket */

__weak u64 seg_page(void)
{
	return (u64)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
}

static __noinline void queue_work(struct work __arena *w, s32 cpu)
{
	w->cpu = cpu;
	w->when = bpf_ktime_get_ns();
	w->chain = pending[cpu & 63];
	pending[cpu & 63] = (u64)w;
	ticket++;
}

OP0(s32, init)
{
	struct segstack __arena *s = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	struct work __arena *w;
	int i;

	if (!s)
		return -12;
	idle_works = (u64)s;
	for (i = 0; i < 128 && can_loop(); i++) {
		w = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!w)
			return -12;
		w->pid = 0;
		segstack_push(s, w);
	}
	return 0;
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	struct work __arena *w = (struct work __arena *)segstack_pop((struct segstack __arena *)idle_works);

	if (!w) {
		scx_bpf_dsq_insert(p, SCX_DSQ_GLOBAL, SCX_SLICE_DFL, flags);
		return;
	}
	w->pid = p->pid;
	queue_work(w, scx_bpf_task_cpu(p));
}

OP2(void, dispatch, s32, cpu, struct task_struct *, prev)
{
	struct work __arena *w = (struct work __arena *)pending[cpu & 63];
	struct task_struct *p;

	if (!w)
		return;
	pending[cpu & 63] = w->chain;
	p = bpf_task_from_pid(w->pid);
	if (p) {
		scx_bpf_dsq_insert(p, SCX_DSQ_GLOBAL, SCX_SLICE_DFL, 0);
		bpf_task_release(p);
	}
	segstack_push((struct segstack __arena *)idle_works, w);
}

OPS(DO(init), DO(enqueue), DO(dispatch), .name = "segstack");
