// SPDX-License-Identifier: GPL-2.0
/* Tasks wait in an AVL tree by vtime. Nodes come from a free list of the tree. */
#include "../heldout/scx.h"

LICENSE();
ARENA(1024);

struct anode {
	u64 key; /* none anode.key */
	u64 left; /* truth anode.left -> struct anode (arena) */
	u64 right; /* truth anode.right -> struct anode (arena) */
	u64 up; /* truth anode.up -> struct anode (arena) */
	u64 owner; /* truth anode.owner -> struct wait_ctx (arena) */
	s32 height;
	u32 gen;
};

struct avl {
	u64 root; /* truth avl.root -> struct anode (arena) */
	u64 spare; /* linked by right */ /* truth avl.spare -> struct anode (arena) */
	u64 min_key; /* none avl.min_key */
	u64 nr;
};

struct wait_ctx {
	u64 node; /* truth wait_ctx.node -> struct anode (arena) */
	u64 vtime; /* none wait_ctx.vtime */
	u64 ticket; /* generation and pid */ /* none wait_ctx.ticket */
	s32 pid;
};
DESCRIBE(wait_ctx);

struct wait_ref {
	u64 ctx; /* truth wait_ref.ctx -> struct wait_ctx (arena) */
};

STORAGE(waits, BPF_MAP_TYPE_TASK_STORAGE, struct wait_ref);

struct avl __arena *tree;

#define N(x) ((struct anode __arena *)(x))
#define H(x) ((x) ? N(x)->height : 0)

static __always_inline void fix_height(struct anode __arena *n)
{
	s32 l = H(n->left), r = H(n->right);

	n->height = (l > r ? l : r) + 1;
}

static __always_inline void replace(struct avl __arena *t, struct anode __arena *old, struct anode __arena *new)
{
	struct anode __arena *up = N(old->up);

	if (!up)
		t->root = (u64)new;
	else if (up->left == (u64)old)
		up->left = (u64)new;
	else
		up->right = (u64)new;
	if (new)
		new->up = (u64)up;
}

static __noinline int rotate_left(struct avl __arena *t, struct anode __arena *n)
{
	struct anode __arena *r = N(n->right);

	if (!r)
		return 0;
	replace(t, n, r);
	n->right = r->left;
	if (r->left)
		N(r->left)->up = (u64)n;
	r->left = (u64)n;
	n->up = (u64)r;
	fix_height(n);
	fix_height(r);
	return 1;
}

static __noinline int rotate_right(struct avl __arena *t, struct anode __arena *n)
{
	struct anode __arena *l = N(n->left);

	if (!l)
		return 0;
	replace(t, n, l);
	n->left = l->right;
	if (l->right)
		N(l->right)->up = (u64)n;
	l->right = (u64)n;
	n->up = (u64)l;
	fix_height(n);
	fix_height(l);
	return 1;
}

static __noinline int rebalance(struct avl __arena *t, struct anode __arena *n)
{
	s32 balance;

	while (n && can_loop()) {
		fix_height(n);
		balance = H(n->left) - H(n->right);
		if (balance > 1) {
			struct anode __arena *l = N(n->left);

			if (H(l->left) < H(l->right))
				rotate_left(t, l);
			rotate_right(t, n);
		} else if (balance < -1) {
			struct anode __arena *r = N(n->right);

			if (H(r->right) < H(r->left))
				rotate_right(t, r);
			rotate_left(t, n);
		}
		n = N(n->up);
	}
	return 0;
}

static __noinline int avl_insert(struct avl __arena *t, u64 key, struct wait_ctx __arena *w)
{
	struct anode __arena *n = N(t->spare), *at, *up = NULL;
	bool less = false;

	if (!n)
		return -12;
	t->spare = n->right;
	n->key = key;
	n->left = n->right = 0;
	n->height = 1;
	n->gen++;
	for (at = N(t->root); at && can_loop();) {
		up = at;
		less = key < at->key;
		at = N(less ? at->left : at->right);
	}
	n->up = (u64)up;
	if (!up)
		t->root = (u64)n;
	else if (less)
		up->left = (u64)n;
	else
		up->right = (u64)n;
	n->owner = (u64)w;
	w->node = (u64)n;
	w->ticket = (u64)n->gen << 32 | (u32)w->pid;
	t->nr++;
	return rebalance(t, up);
}

static __noinline struct anode __arena *avl_pop_first(struct avl __arena *t)
{
	struct anode __arena *n = N(t->root);

	if (!n)
		return NULL;
	while (n->left && can_loop())
		n = N(n->left);
	t->min_key = n->key;
	replace(t, n, N(n->right));
	rebalance(t, N(n->up));
	t->nr--;
	return n;
}

OP0(s32, init)
{
	struct anode __arena *nodes;
	int i;

	tree = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	nodes = bpf_arena_alloc_pages(&arena, NULL, 4, -1, 0);
	if (!tree || !nodes)
		return -12;
	for (i = 0; i < 256 && can_loop(); i++) {
		nodes[i].right = tree->spare;
		tree->spare = (u64)&nodes[i];
	}
	return 0;
}

OP2(s32, init_task, struct task_struct *, p, struct scx_init_task_args *, args)
{
	struct wait_ref *ref = bpf_task_storage_get(&waits, p, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	struct wait_ctx __arena *w;

	if (!ref)
		return -12;
	w = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!w)
		return -12;
	w->pid = p->pid;
	ref->ctx = (u64)w;
	return 0;
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	struct wait_ref *ref = bpf_task_storage_get(&waits, p, NULL, 0);
	struct wait_ctx __arena *w;

	if (!ref || !tree)
		return;
	w = (struct wait_ctx __arena *)ref->ctx;
	if (!w)
		return;
	w->vtime = p->scx.dsq_vtime;
	avl_insert(tree, w->vtime, w);
}

OP2(void, dispatch, s32, cpu, struct task_struct *, prev)
{
	struct anode __arena *n;
	struct wait_ctx __arena *w;
	struct task_struct *p;

	if (!tree)
		return;
	n = avl_pop_first(tree);
	if (!n)
		return;
	w = (struct wait_ctx __arena *)n->owner;
	n->owner = 0;
	n->right = tree->spare;
	tree->spare = (u64)n;
	if (!w)
		return;
	w->node = 0;
	p = bpf_task_from_pid(w->pid);
	if (!p)
		return;
	scx_bpf_dsq_insert(p, SCX_DSQ_GLOBAL, SCX_SLICE_DFL, 0);
	bpf_task_release(p);
}

OPS(DO(init), DO(init_task), DO(enqueue), DO(dispatch), .name = "avl_vtime");
