// SPDX-License-Identifier: GPL-2.0
/* Earliest deadline first, from a red-black tree in the arena. Nodes come from
 * a free list that shares its link with the node's id. */
#include "scx.h"

LICENSE();
ARENA(512);

struct rb_node {
	union {
		u64 id; /* while in the tree */ /* none rb_node.id */
		u64 next_free; /* truth rb_node.next_free -> struct rb_node (arena) */
	};
	u64 parent; /* truth rb_node.parent -> struct rb_node (arena) */
	u64 child[2]; /* truth rb_node.child[] -> struct rb_node (arena) */
	u64 deadline; /* none rb_node.deadline */
	u64 taskc; /* truth rb_node.taskc -> struct task_ctx (arena) */
	u8 red;
};

struct rb_root {
	u64 root; /* truth rb_root.root -> struct rb_node (arena) */
	u64 leftmost; /* truth rb_root.leftmost -> struct rb_node (arena) */
	u64 free; /* truth rb_root.free -> struct rb_node (arena) */
	u64 serial; /* none rb_root.serial */
};

struct task_ctx {
	u64 runtime;
	u64 deadline;
	s32 pid;
	u32 weight;
	u64 node; /* truth task_ctx.node -> struct rb_node (arena) */
};

struct task_slot {
	u64 ctx; /* truth task_slot.ctx -> struct task_ctx (arena) */
	u64 seq; /* none task_slot.seq */
};

STORAGE(task_slots, BPF_MAP_TYPE_TASK_STORAGE, struct task_slot);

struct rb_root deadlines;
u64 clock_base; /* none .bss.clock_base */

static __noinline void rb_rotate(struct rb_root *root, struct rb_node __arena *n, u32 dir)
{
	struct rb_node __arena *up = (struct rb_node __arena *)n->child[!(dir & 1)];
	struct rb_node __arena *parent = (struct rb_node __arena *)n->parent;
	struct rb_node __arena *inner;

	if (!up)
		return;
	inner = (struct rb_node __arena *)up->child[dir & 1];
	n->child[!(dir & 1)] = (u64)inner;
	if (inner)
		inner->parent = (u64)n;
	up->parent = (u64)parent;
	if (!parent)
		root->root = (u64)up;
	else
		parent->child[parent->child[1] == (u64)n] = (u64)up;
	up->child[dir & 1] = (u64)n;
	n->parent = (u64)up;
}

static struct rb_node __arena *rb_alloc(struct rb_root *root)
{
	struct rb_node __arena *n = (struct rb_node __arena *)root->free;

	if (n) {
		root->free = n->next_free;
	} else {
		n = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!n)
			return NULL;
	}
	n->id = ++root->serial;
	return n;
}

static __noinline int rb_insert(struct rb_root *root, struct task_ctx __arena *taskc, u64 deadline)
{
	struct rb_node __arena *n, *at, *parent = NULL, *grand;
	u32 dir = 0, left = 1;

	n = rb_alloc(root);
	if (!n)
		return -12;
	for (at = (struct rb_node __arena *)root->root; at && can_loop(); at = (struct rb_node __arena *)at->child[dir]) {
		parent = at;
		dir = deadline >= at->deadline;
		left &= !dir;
	}
	n->child[0] = 0;
	n->child[1] = 0;
	n->deadline = deadline;
	n->taskc = (u64)taskc;
	n->red = 1;
	n->parent = (u64)parent;
	if (parent)
		parent->child[dir] = (u64)n;
	else
		root->root = (u64)n;
	if (left)
		root->leftmost = (u64)n;
	taskc->node = (u64)n;

	while (parent && parent->red && can_loop()) {
		grand = (struct rb_node __arena *)parent->parent;
		if (!grand)
			break;
		dir = grand->child[1] == (u64)parent;
		at = (struct rb_node __arena *)grand->child[!dir];
		if (at && at->red) {
			at->red = 0;
			parent->red = 0;
			grand->red = 1;
			n = grand;
			parent = (struct rb_node __arena *)n->parent;
			continue;
		}
		parent->red = 0;
		grand->red = 1;
		rb_rotate(root, grand, !dir);
		break;
	}
	return 0;
}

static struct task_ctx __arena *rb_pop(struct rb_root *root)
{
	struct rb_node __arena *n = (struct rb_node __arena *)root->leftmost, *right, *parent;

	if (!n)
		return NULL;
	right = (struct rb_node __arena *)n->child[1];
	parent = (struct rb_node __arena *)n->parent;
	if (parent)
		parent->child[0] = (u64)right;
	else
		root->root = (u64)right;
	if (right) {
		right->parent = (u64)parent;
		while (right->child[0] && can_loop())
			right = (struct rb_node __arena *)right->child[0];
		root->leftmost = (u64)right;
	} else {
		root->leftmost = (u64)parent;
	}
	n->next_free = root->free;
	root->free = (u64)n;
	return (struct task_ctx __arena *)n->taskc;
}

OP2(s32, init_task, struct task_struct *, p, struct scx_init_task_args *, args)
{
	struct task_slot *slot = bpf_task_storage_get(&task_slots, p, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	struct task_ctx __arena *taskc;

	if (!slot)
		return -12;
	taskc = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!taskc)
		return -12;
	taskc->pid = p->pid;
	taskc->weight = p->scx.weight;
	taskc->runtime = 0;
	slot->ctx = (u64)taskc;
	slot->seq++;
	return 0;
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	struct task_slot *slot = bpf_task_storage_get(&task_slots, p, NULL, 0);
	struct task_ctx __arena *taskc;

	if (!slot || !slot->ctx)
		return;
	taskc = (struct task_ctx __arena *)slot->ctx;
	taskc->deadline = bpf_ktime_get_ns() - clock_base + taskc->runtime / (taskc->weight | 1);
	rb_insert(&deadlines, taskc, taskc->deadline);
}

OP2(void, dispatch, s32, cpu, struct task_struct *, prev)
{
	struct task_ctx __arena *taskc = rb_pop(&deadlines);
	struct task_struct *p;

	if (!taskc)
		return;
	taskc->node = 0;
	p = bpf_task_from_pid(taskc->pid);
	if (!p)
		return;
	scx_bpf_dsq_insert(p, SCX_DSQ_GLOBAL, SCX_SLICE_DFL, 0);
	bpf_task_release(p);
}

OPS(DO(init_task), DO(enqueue), DO(dispatch), .name = "rb_deadline");
