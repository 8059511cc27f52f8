/* SPDX-License-Identifier: GPL-2.0 */
/* The scheduler that uses it. */
#include "ctx_map.h"

struct qctx {
	u64 llc;	/* truth qctx.llc -> struct llc (arena) */
	u64 waker;	/* truth qctx.waker -> struct qctx (arena) */
	u64 task;	/* truth qctx.task -> struct task_struct (kernel) */
	u64 avg;
	u64 cgrp;	/* truth qctx.cgrp -> struct cgroup (kernel) */
};

struct llc {
	u64 running;	/* truth llc.running -> struct qctx (arena) */
	u64 load;
	u64 sibling;	/* truth llc.sibling -> struct llc (arena) */
	u32 id;
};

struct llc __arena_global llcs[8];

OP0(s32, init)
{
	int i;

	for (i = 0; i < 8 && can_loop(); i++) {
		llcs[i].id = i;
		llcs[i].sibling = (u64)&llcs[(i + 1) & 7];
	}
	return ctx_setup(sizeof(struct qctx));
}

OP2(s32, init_task, struct task_struct *, p, struct scx_init_task_args *, args)
{
	struct qctx __arena *q = (struct qctx __arena *)ctx_make(p);

	if (!q)
		return -12;
	q->task = (u64)p;
	q->llc = (u64)&llcs[p->pid & 7];
	q->cgrp = (u64)args->cgroup;
	return 0;
}

OP2(void, exit_task, struct task_struct *, p, struct scx_exit_task_args *, args)
{
	ctx_drop(p);
}

OP2(void, runnable, struct task_struct *, p, u64, flags)
{
	struct task_struct *waker = bpf_get_current_task_btf();
	struct qctx __arena *q = (struct qctx __arena *)ctx_get(p), *w;

	w = (struct qctx __arena *)ctx_by_pid(waker->pid);
	if (!q || !w)
		return;
	q->waker = (u64)w;
	q->avg = (q->avg + w->avg) / 2;
	if (q->llc != w->llc)
		q->llc = ((struct llc __arena *)w->llc)->sibling;
}

OP1(void, running, struct task_struct *, p)
{
	struct qctx __arena *q = (struct qctx __arena *)ctx_get(p);
	struct llc __arena *l;

	if (!q)
		return;
	l = (struct llc __arena *)q->llc;
	l->running = (u64)q;
	l->load += q->avg;
	if (q->waker)
		((struct qctx __arena *)q->waker)->avg++;
}

OP2(void, dispatch, s32, cpu, struct task_struct *, prev)
{
	struct qctx __arena *q = (struct qctx __arena *)llcs[cpu & 7].running;

	if (q && q->avg)
		scx_bpf_dsq_move_to_local(q->avg);
}

DESCRIBE(qctx);
OPS(DO(init), DO(init_task), DO(exit_task), DO(runnable), DO(running), DO(dispatch), .name = "ctx_map");
