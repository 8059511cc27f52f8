// SPDX-License-Identifier: GPL-2.0
/* A red-black tree whose nodes come from a free list: a node that is free keeps
 * its successor where one in use keeps its value. One insert function serves
 * trees of tasks' contexts and of groups. */
#include "suite.h"

ARENA_MAP;

struct rb_node {
	struct rb_node __arena *parent;
	union {
		struct {
			struct rb_node __arena *left;
			struct rb_node __arena *right;
		};
		struct rb_node __arena *child[2];
	};
	u64 key;
	union {
		u64 value; /* truth: rb_node.value different */
		struct rb_node __arena *next;
	};
	bool red;
};

struct rb_tree {
	struct rb_node __arena *root;
	struct rb_node __arena *free;
	u64 nr;
};

struct task_data {
	u64 vtime;
	u64 slice;
	u32 pid;
};

struct group_data {
	u32 id;
	u32 weight;
	u64 usage;
	u64 budget;
};

struct task_slot {
	struct task_data __arena *data;
};

TASK_MAP(task_slots, struct task_slot);

struct rb_tree __arena *by_vtime;
struct rb_tree __arena *by_budget;

__weak u64 arena_bytes(u64 size)
{
	static u64 page, used;

	if (!page || used + size > 4096) {
		page = (u64)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		used = 0;
	}
	used += size;
	return page + used - size;
}

#define alloc(T) ((T __arena *)arena_bytes(sizeof(T)))

static struct rb_node __arena *node_get(struct rb_tree __arena *tree)
{
	struct rb_node __arena *node = tree->free;

	if (node) {
		tree->free = node->next;
		return node;
	}
	return alloc(struct rb_node);
}

static void node_put(struct rb_tree __arena *tree, struct rb_node __arena *node)
{
	node->next = tree->free;
	tree->free = node;
}

static void rotate(struct rb_tree __arena *tree, struct rb_node __arena *node, int dir)
{
	struct rb_node __arena *other = node->child[1 - dir], *parent = node->parent;

	if (!other)
		return;
	node->child[1 - dir] = other->child[dir];
	if (other->child[dir])
		other->child[dir]->parent = node;
	other->parent = parent;
	if (!parent)
		tree->root = other;
	else
		parent->child[node == parent->right] = other;
	other->child[dir] = node;
	node->parent = other;
}

__weak int rb_insert(struct rb_tree __arena *tree __arg_arena, u64 key, u64 value)
{
	struct rb_node __arena *node, *at, *parent = NULL;
	int dir = 0;

	if (!tree)
		return -1;
	node = node_get(tree);
	if (!node)
		return -1;
	node->key = key;
	node->value = value;
	node->left = node->right = NULL;
	node->red = true;
	at = tree->root;
	for_times(i, 64) {
		if (!at)
			break;
		dir = at->key < key;
		parent = at;
		at = at->child[dir];
	}
	node->parent = parent;
	if (parent)
		parent->child[dir] = node;
	else
		tree->root = node;
	if (parent && parent->red)
		rotate(tree, parent, 1 - dir);
	tree->nr++;
	return 0;
}

__weak int rb_pop(struct rb_tree __arena *tree __arg_arena, u64 *value)
{
	struct rb_node __arena *node;

	if (!tree || !value)
		return -1;
	node = tree->root;
	if (!node)
		return -1;
	for_times(i, 64) {
		if (!node->left)
			break;
		node = node->left;
	}
	*value = node->value;
	if (node->parent)
		node->parent->left = node->right;
	else
		tree->root = node->right;
	if (node->right)
		node->right->parent = node->parent;
	node_put(tree, node);
	tree->nr--;
	return 0;
}

SEC("struct_ops/init_task")
int init_task(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct task_slot *slot = bpf_task_storage_get(&task_slots, p, NULL, 1);
	struct task_data __arena *t;
	struct group_data __arena *g;

	if (!slot)
		return 1;
	if (!by_vtime)
		by_vtime = alloc(struct rb_tree);
	if (!by_budget)
		by_budget = alloc(struct rb_tree);
	t = alloc(struct task_data);
	if (!t)
		return 1;
	t->pid = p->pid;
	t->slice = 5000;
	slot->data = t;
	g = alloc(struct group_data);
	if (!g)
		return 1;
	g->id = 7;
	g->weight = 100;
	rb_insert(by_budget, g->budget, (u64)g);
	return 0;
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct task_slot *slot = bpf_task_storage_get(&task_slots, p, NULL, 0);

	if (slot && slot->data)
		rb_insert(by_vtime, slot->data->vtime, (u64)slot->data);
}

SEC("struct_ops/dispatch")
void dispatch(u64 *ctx)
{
	u64 value;

	if (!rb_pop(by_vtime, &value))
		((struct task_data __arena *)value)->vtime += 10;
	if (!rb_pop(by_budget, &value))
		((struct group_data __arena *)value)->usage++;
}

SCHED(.init_task = (void *)init_task, .enqueue = (void *)enqueue, .dispatch = (void *)dispatch);
