// SPDX-License-Identifier: GPL-2.0
/* Tasks by pid in a radix tree of two levels in the arena: directories lead to
 * leaves, leaves to contexts. */
#include "scx.h"

#define BITS 6
#define SLOTS (1 << BITS)

LICENSE();
ARENA(1024);

struct pid_ctx {
	s32 pid;
	u32 nr_switches;
	u64 sum_exec;
	u64 leader; /* truth pid_ctx.leader -> struct pid_ctx (arena) */
	u64 cookie; /* none pid_ctx.cookie */
};

struct leaf {
	u64 present; /* bitmap */ /* none leaf.present */
	u64 items[SLOTS]; /* truth leaf.items[] -> struct pid_ctx (arena) */
};
DESCRIBE(leaf);

struct dir {
	u32 level;
	u32 nr;
	u64 leaves[SLOTS]; /* truth dir.leaves[] -> struct leaf (arena) */
};

struct dir __arena *root;
u64 cached; /* truth .bss.cached -> struct pid_ctx (arena) */
u64 lookups, hits;

static struct leaf __arena *leaf_of(struct dir __arena *dir, u32 pid, bool create)
{
	u32 i = (pid >> BITS) & (SLOTS - 1);
	struct leaf __arena *leaf = (struct leaf __arena *)dir->leaves[i];

	if (leaf || !create)
		return leaf;
	leaf = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!leaf)
		return NULL;
	leaf->present = 0;
	dir->leaves[i] = (u64)leaf;
	dir->nr++;
	return leaf;
}

static __noinline struct pid_ctx __arena *find(u32 pid)
{
	struct pid_ctx __arena *c = (struct pid_ctx __arena *)cached;
	struct leaf __arena *leaf;

	lookups++;
	if (c && c->pid == pid) {
		hits++;
		return c;
	}
	if (!root)
		return NULL;
	leaf = leaf_of(root, pid, false);
	if (!leaf || !(leaf->present & (1ULL << (pid & (SLOTS - 1)))))
		return NULL;
	c = (struct pid_ctx __arena *)leaf->items[pid & (SLOTS - 1)];
	cached = (u64)c;
	return c;
}

OP0(s32, init)
{
	root = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!root)
		return -12;
	root->level = 1;
	return 0;
}

OP2(s32, init_task, struct task_struct *, p, struct scx_init_task_args *, args)
{
	struct pid_ctx __arena *c, *lead;
	struct leaf __arena *leaf;
	u32 pid = p->pid;

	if (!root)
		return -22;
	leaf = leaf_of(root, pid, true);
	if (!leaf)
		return -12;
	c = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!c)
		return -12;
	c->pid = pid;
	c->sum_exec = 0;
	c->cookie = p->start_time ^ ((u64)pid << 32);
	lead = find(p->tgid);
	c->leader = (u64)(lead ? lead : c);
	leaf->items[pid & (SLOTS - 1)] = (u64)c;
	leaf->present |= 1ULL << (pid & (SLOTS - 1));
	return 0;
}

OP2(void, stopping, struct task_struct *, p, bool, runnable)
{
	struct pid_ctx __arena *c = find(p->pid), *lead;

	if (!c)
		return;
	c->nr_switches++;
	c->sum_exec += SCX_SLICE_DFL - p->scx.slice;
	lead = (struct pid_ctx __arena *)c->leader;
	if (lead && lead != c)
		lead->sum_exec += SCX_SLICE_DFL - p->scx.slice;
}

OP2(void, exit_task, struct task_struct *, p, struct scx_exit_task_args *, args)
{
	u32 pid = p->pid;
	struct leaf __arena *leaf;

	if (!root)
		return;
	leaf = leaf_of(root, pid, false);
	if (!leaf)
		return;
	if (cached == leaf->items[pid & (SLOTS - 1)])
		cached = 0;
	bpf_arena_free_pages(&arena, (void __arena *)leaf->items[pid & (SLOTS - 1)], 1);
	leaf->items[pid & (SLOTS - 1)] = 0;
	leaf->present &= ~(1ULL << (pid & (SLOTS - 1)));
}

OPS(DO(init), DO(init_task), DO(stopping), DO(exit_task), .name = "radix_pids");
