// SPDX-License-Identifier: GPL-2.0
/* A red-black tree with parent and child[2], of nodes from a free list; two users keep
 * different values in it. */
#include "suite.h"
ARENA_MAP;

enum { LEFT, RIGHT };
struct rbn {
	u64 parent; /* truth: rbn.parent -> struct rbn (arena) */
	u64 child[2]; /* truth: rbn.child[] -> struct rbn (arena) */
	union {
		u64 key; /* truth: rbn.key number */
		u64 next_free; /* truth: rbn.next_free -> struct rbn (arena) */
	};
	u64 value; /* truth: rbn.value different */
	bool red;
};
struct rbtree {
	u64 root; /* truth: rbtree.root -> struct rbn (arena) */
	u64 nr; /* truth: rbtree.nr number */
};
struct vtask {
	u64 vruntime; /* truth: vtask.vruntime number */
	u64 deadline; /* truth: vtask.deadline number */
	u64 node; /* truth: vtask.node number */
	u32 pid;
	u32 weight;
};
struct domain {
	u64 load; /* truth: domain.load number */
	u64 tree; /* truth: domain.tree -> struct rbtree (arena) */
	u32 id;
	u32 nr_cpus;
};
struct tval {
	u64 taskc; /* truth: tval.taskc -> struct vtask (arena) */
};
TASK_MAP(tvals, struct tval);

u64 free_nodes; /* truth: .bss.free_nodes -> struct rbn (arena) */
u64 by_load; /* truth: .bss.by_load -> struct rbtree (arena) */
u64 domains[8]; /* truth: .bss.domains[] -> struct domain (arena) */
/* so that the object describes them */
struct vtask __arena *typed_task;
struct domain __arena *typed_domain;
struct rbtree __arena *typed_tree;
struct rbn __arena *typed_rbn;

static __noinline u64 rbn_alloc(void)
{
	struct rbn __arena *n = (struct rbn __arena *)free_nodes;
	struct rbn __arena *page;

	if (!n) {
		page = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!page)
			return 0;
		for_times(i, 60) {
			page[i].next_free = free_nodes;
			free_nodes = (u64)&page[i];
		}
		n = (struct rbn __arena *)free_nodes;
	}
	free_nodes = n->next_free;
	return (u64)n;
}

static __noinline void rbn_free(u64 addr)
{
	struct rbn __arena *n = (struct rbn __arena *)addr;

	n->next_free = free_nodes;
	free_nodes = addr;
}

static __noinline void rotate(u64 taddr, u64 xaddr, int dir)
{
	struct rbtree __arena *t = (struct rbtree __arena *)taddr;
	struct rbn __arena *x = (struct rbn __arena *)xaddr;
	struct rbn __arena *y, *p, *m;
	int other = !dir;

	y = (struct rbn __arena *)x->child[other & 1];
	if (!y)
		return;
	m = (struct rbn __arena *)y->child[dir & 1];
	x->child[other & 1] = (u64)m;
	if (m)
		m->parent = xaddr;
	y->parent = x->parent;
	p = (struct rbn __arena *)x->parent;
	if (!p)
		t->root = (u64)y;
	else
		p->child[p->child[RIGHT] == xaddr] = (u64)y;
	y->child[dir & 1] = xaddr;
	x->parent = (u64)y;
}

static __noinline int rb_add(u64 taddr, u64 key, u64 value)
{
	struct rbtree __arena *t = (struct rbtree __arena *)taddr;
	struct rbn __arena *n = (struct rbn __arena *)rbn_alloc(), *at, *up, *gp;
	u64 parent = 0;
	int dir = 0;

	if (!n)
		return -1;
	n->key = key;
	n->value = value;
	n->child[LEFT] = n->child[RIGHT] = 0;
	n->red = true;
	at = (struct rbn __arena *)t->root;
	for_times(i, 64) {
		if (!at)
			break;
		parent = (u64)at;
		dir = key > at->key;
		at = (struct rbn __arena *)at->child[dir];
	}
	n->parent = parent;
	if (!parent) {
		t->root = (u64)n;
	} else {
		up = (struct rbn __arena *)parent;
		up->child[dir] = (u64)n;
		gp = (struct rbn __arena *)up->parent;
		if (up->red && gp)
			rotate(taddr, (u64)gp, gp->child[LEFT] == parent);
	}
	t->nr++;
	return 0;
}

static __noinline u64 rb_pop_least(u64 taddr)
{
	struct rbtree __arena *t = (struct rbtree __arena *)taddr;
	struct rbn __arena *n = (struct rbn __arena *)t->root, *right, *p;
	u64 value;

	if (!n)
		return 0;
	for_times(i, 64) {
		if (!n->child[LEFT])
			break;
		n = (struct rbn __arena *)n->child[LEFT];
	}
	right = (struct rbn __arena *)n->child[RIGHT];
	p = (struct rbn __arena *)n->parent;
	if (p)
		p->child[LEFT] = (u64)right;
	else
		t->root = (u64)right;
	if (right)
		right->parent = (u64)p;
	value = n->value;
	rbn_free((u64)n);
	t->nr--;
	return value;
}

SEC("struct_ops/init_task")
int init_task(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct tval *v = bpf_task_storage_get(&tvals, p, NULL, 1);
	struct vtask __arena *c = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	struct domain __arena *d;

	if (!v || !c)
		return -12;
	c->pid = p->pid;
	c->weight = 100;
	v->taskc = (u64)c;
	if (!domains[p->pid & 7]) {
		d = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!d)
			return -12;
		d->id = p->pid & 7;
		d->tree = (u64)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		domains[p->pid & 7] = (u64)d;
	}
	return 0;
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct tval *v = bpf_task_storage_get(&tvals, p, NULL, 0);
	struct domain __arena *d = (struct domain __arena *)domains[p->pid & 7];
	struct vtask __arena *c;

	if (!v || !v->taskc || !d)
		return;
	c = (struct vtask __arena *)v->taskc;
	c->deadline = c->vruntime + 1000 / (c->weight | 1);
	rb_add(d->tree, c->deadline, (u64)c);
	d->load += c->weight;
	if (!by_load)
		by_load = (u64)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	rb_add(by_load, d->load, (u64)d);
}

SEC("struct_ops/dispatch")
void dispatch(u64 *ctx)
{
	struct domain __arena *d = (struct domain __arena *)domains[ARG(ctx, 0) & 7];
	struct vtask __arena *c;
	struct rbtree __arena *t;

	if (!d)
		return;
	t = (struct rbtree __arena *)d->tree;
	if (!t->nr) {
		d = (struct domain __arena *)rb_pop_least(by_load);
		if (!d)
			return;
		d->load = 0;
	}
	c = (struct vtask __arena *)rb_pop_least(d->tree);
	if (!c)
		return;
	c->vruntime += 1000;
	c->node = 0;
	d->load -= c->weight;
}
SCHED(.init_task = (void *)init_task, .enqueue = (void *)enqueue, .dispatch = (void *)dispatch);
