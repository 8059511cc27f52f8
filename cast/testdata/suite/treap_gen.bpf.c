// SPDX-License-Identifier: GPL-2.0
/* A treap whose nodes are in what it orders, found by container_of; of two kinds. */
#include "suite.h"
ARENA_MAP;

struct tnode2 {
	u64 left; /* truth: tnode2.left -> struct tnode2 (arena) */
	u64 right; /* truth: tnode2.right -> struct tnode2 (arena) */
	u64 key; /* truth: tnode2.key number */
	u32 prio;
	u32 size;
};
struct treap {
	u64 top; /* truth: treap.top -> struct tnode2 (arena) */
	u64 gen; /* truth: treap.gen number */
};
struct entity {
	u32 pid;
	u32 weight;
	struct tnode2 link;
	u64 cell; /* truth: entity.cell -> struct cell (arena) */
	u64 vtime; /* truth: entity.vtime number */
};
struct cell {
	u64 usage; /* truth: cell.usage number */
	struct treap ready;
	struct tnode2 node;
	u64 running; /* truth: cell.running -> struct entity (arena) */
	u32 id;
	u32 nr;
};
struct entity_val {
	u64 ent; /* truth: entity_val.ent -> struct entity (arena) */
};
TASK_MAP(ents, struct entity_val);
struct treap cells_by_usage; 
u64 cells[4]; /* truth: .bss.cells[] -> struct cell (arena) */
u64 spare; /* truth: .bss.spare -> struct cell (arena) */
struct entity __arena *typed_entity;
struct cell __arena *typed_cell;
struct tnode2 __arena *typed_node;
struct treap __arena *all_cells;

static __noinline u64 treap_merge(u64 a, u64 b)
{
	struct tnode2 __arena *x = (struct tnode2 __arena *)a;
	struct tnode2 __arena *y = (struct tnode2 __arena *)b;

	if (!x)
		return b;
	if (!y)
		return a;
	if (x->prio > y->prio) {
		y->left = x->right ? x->right : y->left;
		x->right = (u64)y;
		x->size += y->size;
		return (u64)x;
	}
	x->right = y->left ? y->left : x->right;
	y->left = (u64)x;
	y->size += x->size;
	return (u64)y;
}

static __noinline int treap_insert(struct treap __arena *t, struct tnode2 __arena *n, u64 key)
{
	struct tnode2 __arena *at;
	u64 __arena *link;

	if (!t || !n)
		return -1;
	n->key = key;
	n->prio = bpf_get_prandom_u32();
	n->size = 1;
	n->left = n->right = 0;
	link = &t->top;
	for_times(i, 32) {
		at = (struct tnode2 __arena *)*link;
		if (!at || at->prio < n->prio)
			break;
		at->size++;
		link = key < at->key ? &at->left : &at->right;
	}
	at = (struct tnode2 __arena *)*link;
	if (at && at->key < key)
		n->left = (u64)at;
	else
		n->right = (u64)at;
	*link = (u64)n;
	t->gen++;
	return 0;
}

static __noinline struct tnode2 __arena *treap_first(struct treap __arena *t)
{
	struct tnode2 __arena *n;

	if (!t)
		return NULL;
	n = (struct tnode2 __arena *)t->top;
	for_times(i, 32) {
		if (!n || !n->left)
			break;
		n = (struct tnode2 __arena *)n->left;
	}
	if (n)
		t->top = treap_merge(n->left, n->right);
	return n;
}

SEC("struct_ops/init_task")
int init_task(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct entity_val *v = bpf_task_storage_get(&ents, p, NULL, 1);
	struct entity __arena *e = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	struct cell __arena *c = (struct cell __arena *)cells[p->pid & 3];

	if (!v || !e)
		return -12;
	if (!c) {
		c = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!c)
			return -12;
		c->id = p->pid & 3;
		cells[p->pid & 3] = (u64)c;
	}
	if (!all_cells)
		all_cells = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	treap_insert(all_cells, &c->node, c->usage);
	e->pid = p->pid;
	e->weight = 100;
	e->cell = (u64)c;
	v->ent = (u64)e;
	return 0;
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct entity_val *v = bpf_task_storage_get(&ents, p, NULL, 0);
	struct entity __arena *e;
	struct cell __arena *c;

	if (!v || !v->ent)
		return;
	e = (struct entity __arena *)v->ent;
	c = (struct cell __arena *)e->cell;
	treap_insert(&c->ready, &e->link, e->vtime);
	c->nr++;
}

SEC("struct_ops/dispatch")
void dispatch(u64 *ctx)
{
	struct tnode2 __arena *n = treap_first(all_cells);
	struct entity __arena *e;
	struct cell __arena *c;

	if (!n)
		return;
	c = container_of(n, struct cell, node);
	n = treap_first(&c->ready);
	if (!n) {
		spare = (u64)c;
		return;
	}
	e = container_of(n, struct entity, link);
	e->vtime += 1000 / (e->weight | 1);
	c->usage += 1000;
	c->running = (u64)e;
	c->nr--;
	if (spare)
		((struct cell __arena *)spare)->nr = 0;
}
SCHED(.init_task = (void *)init_task, .enqueue = (void *)enqueue, .dispatch = (void *)dispatch);
