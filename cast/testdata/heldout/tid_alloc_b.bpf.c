// SPDX-License-Identifier: GPL-2.0
#include "tid_alloc.h"

LICENSE();

struct task_ctx {
	u64 runtime;
	u64 waker; /* truth task_ctx.waker -> struct task_ctx (arena) */
	s32 pid;
	u32 nr_wakeups;
};
DESCRIBE(task_ctx);

u64 last_ctx; /* truth .bss.last_ctx -> struct task_ctx (arena) */

static struct task_ctx __arena *ctx_of(struct task_struct *p)
{
	return (struct task_ctx __arena *)tid_task_data(p);
}

OP0(s32, init)
{
	return tid_init(sizeof(struct task_ctx));
}

OP2(s32, init_task, struct task_struct *, p, struct scx_init_task_args *, args)
{
	struct task_ctx __arena *c = (struct task_ctx __arena *)tid_task_alloc(p);

	if (!c)
		return -12;
	c->pid = p->pid;
	c->runtime = 0;
	c->nr_wakeups = 0;
	return 0;
}

OP2(void, runnable, struct task_struct *, p, u64, flags)
{
	struct task_ctx __arena *c = ctx_of(p), *w = ctx_of(bpf_get_current_task_btf());

	if (!c)
		return;
	c->waker = (u64)w;
	if (w)
		w->nr_wakeups++;
	last_ctx = (u64)c;
}

OP2(void, stopping, struct task_struct *, p, bool, runnable)
{
	struct task_ctx __arena *c = ctx_of(p), *w;

	if (!c)
		return;
	c->runtime += SCX_SLICE_DFL - p->scx.slice;
	w = (struct task_ctx __arena *)c->waker;
	if (w)
		w->runtime += c->runtime >> 4;
}

OP2(void, exit_task, struct task_struct *, p, struct scx_exit_task_args *, args)
{
	tid_task_free(p);
}

OPS(DO(init), DO(init_task), DO(runnable), DO(stopping), DO(exit_task), .name = "tid_alloc");
