// SPDX-License-Identifier: GPL-2.0
/* A tree of wide nodes: inner ones have children where leaves have values. */
#include "suite.h"
ARENA_MAP;
#define WIDTH 8

struct bt_node {
	struct bt_node __arena *parent;
	u32 nr;
	u32 is_leaf;
	u64 keys[WIDTH]; /* truth: bt_node.keys[] number */
	union {
		struct bt_node __arena *kids[WIDTH + 1];
		struct record __arena *records[WIDTH + 1];
	};
};
struct record {
	u32 pid;
	u32 nr;
	u64 sum;
	struct bt_node __arena *leaf;
};
struct bt {
	struct bt_node __arena *root;
	struct bt_node __arena *spare;
	u64 height;
};
struct bt __arena *bt;
struct record __arena *last;

static __noinline struct bt_node __arena *leaf_of(struct bt __arena *t, u64 key)
{
	struct bt_node __arena *n = t->root;

	for_times(depth, 8) {
		u32 i = 0;

		if (!n || n->is_leaf)
			break;
		for (; i < WIDTH; i++)
			if (i >= n->nr || key < n->keys[i])
				break;
		n = n->kids[i];
	}
	return n;
}

__weak int bt_insert(struct bt __arena *t __arg_arena, u64 key, struct record __arena *r __arg_arena)
{
	struct bt_node __arena *n, *inner;

	if (!t || !r)
		return -1;
	n = leaf_of(t, key);
	if (!n) {
		n = t->spare ? t->spare : bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!n)
			return -1;
		t->spare = NULL;
		n->is_leaf = 1;
		n->nr = 0;
		t->root = n;
	}
	if (n->nr >= WIDTH) {
		inner = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!inner)
			return -1;
		inner->kids[0] = n;
		inner->nr = 1;
		inner->keys[0] = key;
		inner->parent = n->parent;
		n->parent = inner;
		t->root = inner;
		t->height++;
		return -1;
	}
	n->keys[n->nr & 7] = key;
	n->records[n->nr & 7] = r;
	r->leaf = n;
	n->nr++;
	return 0;
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct bt_node __arena *n;
	struct record __arena *r;

	if (!bt)
		bt = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!bt)
		return;
	n = leaf_of(bt, p->pid);
	r = n && n->nr ? n->records[0] : NULL;
	if (!r) {
		r = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!r)
			return;
		r->pid = p->pid;
		bt_insert(bt, p->pid, r);
	}
	r->nr++;
	r->sum += bpf_ktime_get_ns();
	last = r;
	if (last->leaf && last->leaf->parent)
		bt->spare = last->leaf->parent;
}
SCHED(.enqueue = (void *)enqueue);
