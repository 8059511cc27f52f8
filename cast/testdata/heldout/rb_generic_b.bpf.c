// SPDX-License-Identifier: GPL-2.0
/* Two users of one tree: tasks by their virtual time, and domains by load. */
#include "rb_generic.h"

LICENSE();
ARENA(256);

struct dom_ctx {
	u64 load;
	u32 id;
	u32 nr_tasks;
	u64 mask;
	u64 tasks; /* truth dom_ctx.tasks -> struct gtree (arena) */
};

struct task_ctx {
	u64 vtime;
	s32 pid;
	u32 weight;
	u64 dom; /* truth task_ctx.dom -> struct dom_ctx (arena) */
	u64 wakeups;
};
DESCRIBE(task_ctx);

struct map_val {
	u64 data; /* truth map_val.data -> struct task_ctx (arena) */
};

STORAGE(tasks, BPF_MAP_TYPE_TASK_STORAGE, struct map_val);

u64 doms_by_load; /* truth .bss.doms_by_load -> struct gtree (arena) */
u64 pool; /* may .bss.pool -> char (arena) */
u64 pool_used; /* none .bss.pool_used */

__weak void __arena *lib_alloc(u64 size)
{
	u64 at;

	if (!pool)
		pool = (u64)bpf_arena_alloc_pages(&arena, NULL, 64, -1, 0);
	if (!pool || pool_used + size > 64 * 4096)
		return NULL;
	at = pool_used;
	pool_used += (size + 7) & ~7ULL;
	return (char __arena *)pool + at;
}

static __noinline struct dom_ctx __arena *lightest_dom(void)
{
	return (struct dom_ctx __arena *)gtree_pop((struct gtree __arena *)doms_by_load);
}

OP0(s32, init)
{
	struct dom_ctx __arena *dom;
	int i;

	doms_by_load = (u64)gtree_create();
	for (i = 0; i < 4; i++) {
		dom = lib_alloc(sizeof(*dom));
		if (!dom)
			return -12;
		dom->id = i;
		dom->load = 0;
		dom->nr_tasks = 0;
		dom->mask = 0xfULL << (4 * i);
		dom->tasks = (u64)gtree_create();
		gtree_insert((struct gtree __arena *)doms_by_load, dom->load, (u64)dom);
	}
	return 0;
}

OP2(s32, init_task, struct task_struct *, p, struct scx_init_task_args *, args)
{
	struct map_val *v = bpf_task_storage_get(&tasks, p, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	struct task_ctx __arena *taskc = lib_alloc(sizeof(*taskc));
	struct dom_ctx __arena *dom = lightest_dom();

	if (!v || !taskc || !dom)
		return -12;
	taskc->pid = p->pid;
	taskc->weight = p->scx.weight;
	taskc->dom = (u64)dom;
	dom->nr_tasks++;
	dom->load += taskc->weight;
	gtree_insert((struct gtree __arena *)doms_by_load, dom->load, (u64)dom);
	v->data = (u64)taskc;
	return 0;
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	struct map_val *v = bpf_task_storage_get(&tasks, p, NULL, 0);
	struct task_ctx __arena *taskc;
	struct dom_ctx __arena *dom;

	if (!v || !v->data)
		return;
	taskc = (struct task_ctx __arena *)v->data;
	taskc->vtime += SCX_SLICE_DFL;
	taskc->wakeups++;
	dom = (struct dom_ctx __arena *)taskc->dom;
	if (dom)
		gtree_insert((struct gtree __arena *)dom->tasks, taskc->vtime, (u64)taskc);
}

OP2(void, dispatch, s32, cpu, struct task_struct *, prev)
{
	struct dom_ctx __arena *dom = lightest_dom();
	struct task_ctx __arena *taskc;
	struct task_struct *p;

	if (!dom)
		return;
	taskc = (struct task_ctx __arena *)gtree_pop((struct gtree __arena *)dom->tasks);
	gtree_insert((struct gtree __arena *)doms_by_load, dom->load, (u64)dom);
	if (!taskc)
		return;
	p = bpf_task_from_pid(taskc->pid);
	if (p) {
		scx_bpf_dsq_insert(p, SCX_DSQ_GLOBAL, SCX_SLICE_DFL, 0);
		bpf_task_release(p);
	}
}

OPS(DO(init), DO(init_task), DO(enqueue), DO(dispatch), .name = "rb_generic");
