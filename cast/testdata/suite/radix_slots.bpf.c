// SPDX-License-Identifier: GPL-2.0
/* A radix tree of pids: inner nodes and leaves share their slots, told apart by the
 * height; a cursor remembers the last leaf. */
#include "suite.h"
ARENA_MAP;

#define RADIX_BITS 4
#define RADIX_SLOTS (1 << RADIX_BITS)
struct rnode {
	u64 parent; /* truth: rnode.parent -> struct rnode (arena) */
	u32 height;
	u32 count;
	u64 slots[RADIX_SLOTS]; /* truth: rnode.slots[] different */
};
struct rroot {
	u64 node; /* truth: rroot.node -> struct rnode (arena) */
	u64 cursor; /* truth: rroot.cursor -> struct rnode (arena) */
	u64 cursor_key; /* truth: rroot.cursor_key number */
	u32 height;
};
struct pstat {
	u64 runs; /* truth: pstat.runs number */
	u64 last; /* truth: pstat.last number */
	u64 leaf; /* truth: pstat.leaf -> struct rnode (arena) */
	u32 pid;
	u32 cpu;
};
u64 tree_root; /* truth: .bss.tree_root -> struct rroot (arena) */
u64 hottest; /* truth: .bss.hottest -> struct pstat (arena) */
struct rnode __arena *typed_rnode;
struct rroot __arena *typed_rroot;
struct pstat __arena *typed_pstat;

static __noinline u64 rnode_new(u64 parent, u32 height)
{
	struct rnode __arena *n = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

	if (!n)
		return 0;
	n->parent = parent;
	n->height = height;
	n->count = 0;
	return (u64)n;
}

static __noinline u64 radix_leaf(struct rroot __arena *r, u64 key)
{
	struct rnode __arena *n;
	u32 slot;

	if (r->cursor && r->cursor_key == key >> RADIX_BITS)
		return r->cursor;
	if (!r->node) {
		r->node = rnode_new(0, 3);
		if (!r->node)
			return 0;
	}
	n = (struct rnode __arena *)r->node;
	for_times(i, 4) {
		if (!n->height)
			break;
		slot = (key >> (n->height * RADIX_BITS)) & (RADIX_SLOTS - 1);
		if (!n->slots[slot]) {
			n->slots[slot] = rnode_new((u64)n, n->height - 1);
			if (!n->slots[slot])
				return 0;
			n->count++;
		}
		n = (struct rnode __arena *)n->slots[slot];
	}
	r->cursor = (u64)n;
	r->cursor_key = key >> RADIX_BITS;
	return (u64)n;
}

static __noinline u64 radix_get(u64 root, u64 key)
{
	struct rroot __arena *r = (struct rroot __arena *)root;
	struct rnode __arena *leaf;

	if (!r)
		return 0;
	leaf = (struct rnode __arena *)radix_leaf(r, key);
	if (!leaf)
		return 0;
	return leaf->slots[key & (RADIX_SLOTS - 1)];
}

static __noinline int radix_put(u64 root, u64 key, u64 item)
{
	struct rroot __arena *r = (struct rroot __arena *)root;
	struct pstat __arena *s = (struct pstat __arena *)item;
	u64 leaf;

	if (!r || !s)
		return -1;
	leaf = radix_leaf(r, key);
	if (!leaf)
		return -12;
	((struct rnode __arena *)leaf)->slots[key & (RADIX_SLOTS - 1)] = item;
	((struct rnode __arena *)leaf)->count++;
	s->leaf = leaf;
	return 0;
}

SEC("struct_ops/init_task")
int init_task(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct pstat __arena *s = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

	if (!s)
		return -12;
	if (!tree_root)
		tree_root = (u64)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	s->pid = p->pid;
	return radix_put(tree_root, p->pid, (u64)s);
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct pstat __arena *s = (struct pstat __arena *)radix_get(tree_root, p->pid);
	struct pstat __arena *hot;

	if (!s)
		return;
	s->runs++;
	s->last = bpf_ktime_get_ns();
	s->cpu = bpf_get_smp_processor_id();
	hot = (struct pstat __arena *)hottest;
	if (!hot || hot->runs < s->runs)
		hottest = (u64)s;
}

SEC("struct_ops/exit_task")
void exit_task(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct pstat __arena *s = (struct pstat __arena *)radix_get(tree_root, p->pid);
	struct rnode __arena *leaf;

	if (!s)
		return;
	leaf = (struct rnode __arena *)s->leaf;
	for_times(i, 4) {
		if (!leaf || --leaf->count)
			break;
		leaf = (struct rnode __arena *)leaf->parent;
	}
	if (hottest == (u64)s)
		hottest = 0;
}
SCHED(.init_task = (void *)init_task, .enqueue = (void *)enqueue, .dispatch = (void *)exit_task);
