// SPDX-License-Identifier: GPL-2.0
/* A tree for each CPU and one for each node of the machine, in structs that begin
 * with the tree; nodes of an interval tree lead to what they are for. */
#include "suite.h"
ARENA_MAP;

struct iv_node {
	struct iv_node __arena *parent;
	struct iv_node __arena *left;
	struct iv_node __arena *right;
	u64 start; /* truth: iv_node.start number */
	u64 end; /* truth: iv_node.end number */
	struct span __arena *span;
};
struct iv_tree {
	struct iv_node __arena *root;
	u64 nr; /* truth: iv_tree.nr number */
};
struct span {
	u32 pid;
	u32 kind;
	u64 cost; /* truth: span.cost number */
	struct iv_node node;
	struct numa __arena *home;
};
struct percpu_tree {
	struct iv_tree tree;
	u32 cpu;
	struct numa __arena *numa;
};
struct numa {
	struct iv_tree tree;
	u64 balance; /* truth: numa.balance number */
	struct percpu_tree __arena *first;
};
struct percpu_tree __arena *trees[16];
struct numa __arena *numas[2];

__weak int iv_insert(struct iv_tree __arena *t __arg_arena, struct iv_node __arena *n __arg_arena)
{
	struct iv_node __arena *at, *up = NULL;

	if (!t || !n)
		return -1;
	at = t->root;
	for_times(i, 32) {
		if (!at)
			break;
		up = at;
		at = n->start < at->start ? at->left : at->right;
	}
	n->parent = up;
	n->left = n->right = NULL;
	if (!up)
		t->root = n;
	else if (n->start < up->start)
		up->left = n;
	else
		up->right = n;
	t->nr++;
	return 0;
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	u32 cpu = bpf_get_smp_processor_id() & 15;
	struct percpu_tree __arena *pt = trees[cpu];
	struct numa __arena *n = numas[cpu & 1];
	struct span __arena *s = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

	if (!n) {
		n = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		numas[cpu & 1] = n;
	}
	if (!s || !n)
		return;
	if (!pt) {
		pt = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!pt)
			return;
		pt->cpu = cpu;
		pt->numa = n;
		trees[cpu] = pt;
		n->first = pt;
	}
	s->pid = p->pid;
	s->kind = 1;
	s->home = n;
	s->node.start = bpf_ktime_get_ns();
	s->node.end = s->node.start + 1000;
	s->node.span = s;
	iv_insert(bpf_get_prandom_u32() & 1 ? &pt->tree : &n->tree, &s->node);
}

SEC("struct_ops/dispatch")
void dispatch(u64 *ctx)
{
	struct percpu_tree __arena *pt = trees[3];
	struct iv_node __arena *n;
	struct span __arena *s;

	if (!pt || !pt->tree.root)
		return;
	n = pt->tree.root;
	s = container_of(n, struct span, node);
	s->cost += n->end - n->start;
	if (s->home)
		s->home->balance++;
	if (n->span && n->span->home)
		n->span->home->balance--;
	if (pt->numa && pt->numa->first == pt)
		pt->numa->balance = 0;
}
SCHED(.enqueue = (void *)enqueue, .dispatch = (void *)dispatch);
