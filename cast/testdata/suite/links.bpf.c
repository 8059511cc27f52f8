// SPDX-License-Identifier: GPL-2.0
/* A search tree that is descended by the address of a link: that of the root, or
 * one in a node. */
#include "suite.h"
ARENA_MAP;

struct tnode {
	u64 key;
	struct tnode __arena *kids[2];
	struct tnode __arena *up;
	struct owner __arena *owner;
};
struct owner {
	u32 pid;
	u32 prio;
	u64 bytes[3];
	struct tnode __arena *mine;
};
struct tree {
	struct tnode __arena *root;
	struct tnode __arena *min;
	u64 nr;
};
struct tree __arena *trees[4];

static __noinline int put(struct tree __arena *t, struct tnode __arena *n)
{
	struct tnode __arena *__arena *link = &t->root, *up = NULL;

	for_times(i, 40) {
		if (!*link)
			break;
		up = *link;
		link = &up->kids[n->key > up->key];
	}
	n->up = up;
	*link = n;
	if (!t->min || n->key < t->min->key)
		t->min = n;
	t->nr++;
	return 0;
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct tree __arena *t = trees[p->pid & 3];
	struct tnode __arena *n;
	struct owner __arena *o;

	if (!t) {
		t = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		trees[p->pid & 3] = t;
	}
	n = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	o = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!t || !n || !o)
		return;
	n->key = bpf_ktime_get_ns();
	n->owner = o;
	o->pid = p->pid;
	o->prio = 3;
	o->mine = n;
	put(t, n);
}

SEC("struct_ops/dispatch")
void dispatch(u64 *ctx)
{
	struct tree __arena *t = trees[1];

	if (t && t->min && t->min->owner) {
		t->min->owner->bytes[0]++;
		t->min = t->min->up;
	}
}
SCHED(.enqueue = (void *)enqueue, .dispatch = (void *)dispatch);
