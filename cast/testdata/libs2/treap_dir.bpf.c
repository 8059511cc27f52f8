/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A treap of tasks by virtual time. The child is chosen by an index that is computed, the
 * parent tells which of its two links to set, and free nodes hang on child[0].
 */
#include "../heldout/scx.h"

ARENA(1024);

struct tnode {
	u64 parent;	/* truth tnode.parent -> struct tnode (arena) */
	u64 child[2];	/* truth tnode.child[] -> struct tnode (arena) */
	u64 key;
	u64 value;	/* truth tnode.value -> struct tctx (arena) */
	u32 prio;
	u32 pad;
};

struct treap {
	u64 root;	/* truth treap.root -> struct tnode (arena) */
	u64 least;	/* truth treap.least -> struct tnode (arena) */
	u64 nr;
};

struct tctx {
	u64 node;	/* truth tctx.node -> struct tnode (arena) */
	u64 task;	/* truth tctx.task -> struct task_struct (kernel) */
	u64 vtime;
};

struct treap __arena_global queue;
u64 free_nodes;		/* truth .bss.free_nodes -> struct tnode (arena) */

struct stored {
	u64 ctx;	/* truth stored.ctx -> struct tctx (arena) */
};
STORAGE(tasks, BPF_MAP_TYPE_TASK_STORAGE, struct stored);

static __noinline struct tnode __arena *get_node(void)
{
	struct tnode __arena *n = (struct tnode __arena *)free_nodes;
	int i;

	if (n) {
		free_nodes = n->child[0];
		n->child[0] = 0;
		return n;
	}
	n = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!n)
		return NULL;
	for (i = 1; i < 4096 / sizeof(*n) && can_loop(); i++) {
		n[i].child[0] = free_nodes;
		free_nodes = (u64)&n[i];
	}
	return n;
}

static __noinline void put_node(u64 node)
{
	((struct tnode __arena *)node)->child[0] = free_nodes;
	free_nodes = node;
}

static __noinline void set_child(struct treap __arena *t, u64 parent, u64 old, u64 new)
{
	struct tnode __arena *p = (struct tnode __arena *)parent;

	if (!p)
		t->root = new;
	else
		p->child[p->child[1] == old] = new;
	if (new)
		((struct tnode __arena *)new)->parent = parent;
}

static __noinline void rotate(struct treap __arena *t, u64 node, int dir)
{
	struct tnode __arena *n = (struct tnode __arena *)node;
	u64 up = n->child[!dir];
	struct tnode __arena *u = (struct tnode __arena *)up;

	set_child(t, n->parent, node, up);
	n->child[!dir] = u->child[dir];
	if (u->child[dir])
		((struct tnode __arena *)u->child[dir])->parent = node;
	u->child[dir] = node;
	n->parent = up;
}

static __noinline int treap_add(struct treap __arena *t, u64 key, u64 value)
{
	u64 at = t->root, parent = 0;
	struct tnode __arena *n, *p;
	int dir = 0;

	while (at && can_loop()) {
		parent = at;
		dir = key > ((struct tnode __arena *)at)->key;
		at = ((struct tnode __arena *)at)->child[dir];
	}
	n = get_node();
	if (!n)
		return -12;
	n->key = key;
	n->value = value;
	n->prio = bpf_get_prandom_u32();
	n->parent = parent;
	n->child[0] = n->child[1] = 0;
	((struct tctx __arena *)value)->node = (u64)n;
	if (parent)
		((struct tnode __arena *)parent)->child[dir] = (u64)n;
	else
		t->root = (u64)n;
	while (n->parent && can_loop()) {
		p = (struct tnode __arena *)n->parent;
		if (p->prio >= n->prio)
			break;
		rotate(t, (u64)p, p->child[0] == (u64)n);
	}
	if (!t->least || key < ((struct tnode __arena *)t->least)->key)
		t->least = (u64)n;
	t->nr++;
	return 0;
}

static __noinline u64 treap_pop(struct treap __arena *t)
{
	struct tnode __arena *n = (struct tnode __arena *)t->least;
	u64 value, next;

	if (!n)
		return 0;
	value = n->value;
	next = n->child[1];
	set_child(t, n->parent, (u64)n, next);
	if (!next)
		next = n->parent;
	else
		while (((struct tnode __arena *)next)->child[0] && can_loop())
			next = ((struct tnode __arena *)next)->child[0];
	t->least = next;
	t->nr--;
	put_node((u64)n);
	return value;
}

OP2(s32, init_task, struct task_struct *, p, struct scx_init_task_args *, args)
{
	struct stored *s = bpf_task_storage_get(&tasks, p, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	struct tctx __arena *c;

	if (!s)
		return -12;
	c = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!c)
		return -12;
	c->task = (u64)p;
	s->ctx = (u64)c;
	return 0;
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	struct stored *s = bpf_task_storage_get(&tasks, p, NULL, 0);

	if (!s || !s->ctx)
		return;
	treap_add(&queue, ((struct tctx __arena *)s->ctx)->vtime, s->ctx);
}

OP2(void, dispatch, s32, cpu, struct task_struct *, prev)
{
	struct tctx __arena *c = (struct tctx __arena *)treap_pop(&queue);

	if (!c)
		return;
	c->node = 0;
	c->vtime += SCX_SLICE_DFL;
}

DESCRIBE(tnode);
DESCRIBE(tctx);
OPS(DO(init_task), DO(enqueue), DO(dispatch), .name = "treap_dir");
LICENSE();
