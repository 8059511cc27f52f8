// SPDX-License-Identifier: GPL-2.0
/* Groups in the arena, in a tree by parent, first child and sibling, found from
 * the kernel's groups and tasks, which they lead back to. */
#include "suite.h"
ARENA_MAP;

struct group {
	struct group __arena *parent;
	struct group __arena *child;
	struct group __arena *sibling;
	u64 cgrp; /* truth: group.cgrp -> struct cgroup (kernel) */
	u64 cgid; /* truth: group.cgid number */
	u32 weight;
	u32 nr_tasks;
};
struct cgrp_slot {
	u64 group; /* truth: cgrp_slot.group -> struct group (arena) */
	u64 level; /* truth: cgrp_slot.level number */
};
struct task_slot {
	u64 task; /* truth: task_slot.task -> struct task_struct (kernel) */
	u64 group; /* truth: task_slot.group -> struct group (arena) */
	u64 start; /* truth: task_slot.start number */
};
struct {
	__uint(type, CGRP_STORAGE);
	__uint(map_flags, 1);
	__type(key, s32);
	__type(value, struct cgrp_slot);
} cgrps SEC(".maps");
TASK_MAP(tasks, struct task_slot);
struct group __arena *root_group;

__weak int group_link(struct group __arena *parent __arg_arena, struct group __arena *g __arg_arena)
{
	if (!parent || !g)
		return -1;
	g->parent = parent;
	g->sibling = parent->child;
	parent->child = g;
	return 0;
}

SEC("struct_ops/init_task")
int init_task(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct cgroup *cgrp = (void *)ARG(ctx, 1);
	struct cgrp_slot *c = bpf_cgrp_storage_get(&cgrps, cgrp, NULL, 1);
	struct task_slot *t = bpf_task_storage_get(&tasks, p, NULL, 1);
	struct group __arena *g;

	if (!c || !t)
		return 1;
	g = (struct group __arena *)c->group;
	if (!g) {
		g = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!g)
			return 1;
		g->cgrp = (u64)cgrp;
		g->cgid = cgrp->level;
		g->weight = 100;
		c->group = (u64)g;
		c->level = cgrp->level;
		if (!root_group)
			root_group = g;
		group_link(root_group, g);
	}
	g->nr_tasks++;
	t->task = (u64)p;
	t->group = (u64)g;
	t->start = p->start_time;
	return 0;
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct task_slot *t = bpf_task_storage_get(&tasks, p, NULL, 0);
	struct group __arena *g;

	if (!t)
		return;
	g = (struct group __arena *)t->group;
	for_times(i, 16) {
		if (!g)
			break;
		g->weight++;
		g = g->parent;
	}
}
SCHED(.init_task = (void *)init_task, .enqueue = (void *)enqueue);
