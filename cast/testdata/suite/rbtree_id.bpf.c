// SPDX-License-Identifier: GPL-2.0
/* A tree whose root is the first member, of nodes whose first member is an id, or
 * the next free node. Allocator, insertion and search are inlined. */
#include "suite.h"

ARENA_MAP;

struct node {
	union {
		u64 id; /* truth: node.id number */
		struct node __arena *next_free;
	};
	struct node __arena *child[2];
	struct node __arena *up;
	struct task_struct *owner;
	u64 stamp;
};

struct tree {
	struct node __arena *root;
	u32 height;
	u32 nr;
};

struct tree __arena *tree;
struct node __arena *free_nodes;

static struct node __arena *node_alloc(void)
{
	struct node __arena *n = free_nodes;

	if (n) {
		free_nodes = n->next_free;
		return n;
	}
	return bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
}

static void node_free(struct node __arena *n)
{
	n->next_free = free_nodes;
	free_nodes = n;
}

static void attach(struct tree __arena *t, struct node __arena *n)
{
	struct node __arena *at = t->root, *up = NULL;
	int side = 0;

	for_times(i, 32) {
		if (!at)
			break;
		up = at;
		side = n->id > at->id;
		at = at->child[side];
	}
	n->up = up;
	if (up)
		up->child[side] = n;
	else
		t->root = n;
	t->nr++;
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct node __arena *n;

	if (!tree)
		tree = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!tree)
		return;
	n = node_alloc();
	if (!n)
		return;
	n->id = p->pid;
	n->stamp = bpf_ktime_get_ns();
	n->child[0] = n->child[1] = NULL;
	n->owner = p;
	attach(tree, n);
}

SEC("struct_ops/dispatch")
void dispatch(u64 *ctx)
{
	struct tree __arena *t = tree;
	struct node __arena *n;

	if (!t || !t->root)
		return;
	n = t->root;
	for_times(i, 32) {
		if (!n->child[0])
			break;
		n = n->child[0];
	}
	if (n->up)
		n->up->child[0] = n->child[1];
	else
		t->root = n->child[1];
	if (n->child[1])
		n->child[1]->up = n->up;
	if (bpf_ktime_get_ns() - n->stamp > 1000)
		scx_bpf_dsq_insert(n->owner, n->id, 1000, 0);
	node_free(n);
}

SCHED(.enqueue = (void *)enqueue, .dispatch = (void *)dispatch);
