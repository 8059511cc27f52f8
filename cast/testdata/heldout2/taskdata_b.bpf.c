// SPDX-License-Identifier: GPL-2.0
#include "taskdata.h"

LICENSE();

struct my_task {
	u64 vtime; /* none my_task.vtime */
	u64 waker; /* truth my_task.waker -> struct my_task (arena) */
	u64 pool; /* truth my_task.pool -> struct my_pool (arena) */
	u64 next; /* truth my_task.next -> struct my_task (arena) */
	u64 queued_at;
	s32 pid;
};
DESCRIBE(my_task);

struct my_pool {
	u64 first; /* truth my_pool.first -> struct my_task (arena) */
	u64 vtime_now; /* none my_pool.vtime_now */
	u64 mask; /* none my_pool.mask */
};

struct my_pool __arena *my_pools;

OP0(s32, init)
{
	my_pools = td_pages(1);
	if (!my_pools)
		return -12;
	return td_setup(sizeof(struct my_task));
}

OP2(s32, init_task, struct task_struct *, p, struct scx_init_task_args *, args)
{
	struct my_task __arena *t = td_alloc(p);

	if (!t)
		return -12;
	t->pid = p->pid;
	t->vtime = p->scx.dsq_vtime;
	if (my_pools)
		t->pool = (u64)&my_pools[p->pid & 31];
	return 0;
}

OP2(void, runnable, struct task_struct *, p, u64, flags)
{
	struct my_task __arena *t = td_data(p);
	struct my_task __arena *waker = td_data(bpf_get_current_task_btf());
	struct my_task __arena *before;

	if (!t || !waker)
		return;
	before = (struct my_task __arena *)t->waker;
	if (before && before->vtime < t->vtime)
		t->vtime = before->vtime;
	t->waker = (u64)waker;
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	struct my_task __arena *t = td_data(p);
	struct my_pool __arena *pool;

	if (!t)
		return;
	pool = (struct my_pool __arena *)t->pool;
	if (!pool)
		return;
	t->queued_at = bpf_ktime_get_ns();
	t->next = pool->first;
	pool->first = (u64)t;
	pool->mask |= 1ULL << (p->pid & 63);
}

OP2(void, dispatch, s32, cpu, struct task_struct *, prev)
{
	struct my_pool __arena *pool;
	struct my_task __arena *t, *best = NULL;
	struct task_struct *p;

	if (!my_pools)
		return;
	pool = &my_pools[cpu & 31];
	for (t = (struct my_task __arena *)pool->first; t && can_loop(); t = (struct my_task __arena *)t->next)
		if (!best || t->vtime < best->vtime)
			best = t;
	if (!best)
		return;
	pool->vtime_now = best->vtime;
	p = bpf_task_from_pid(best->pid);
	if (!p)
		return;
	scx_bpf_dsq_insert(p, SCX_DSQ_GLOBAL, SCX_SLICE_DFL, 0);
	bpf_task_release(p);
}

OP2(void, exit_task, struct task_struct *, p, struct scx_exit_task_args *, args)
{
	td_free(p);
}

OPS(DO(init), DO(init_task), DO(runnable), DO(enqueue), DO(dispatch), DO(exit_task), .name = "taskdata");
