/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A radix tree by number. The low bits of a slot say what it holds: a further node,
 * or an item. The root is always a node, tagged as the slots are. Items have a mark in
 * the low bits of their link.
 */
#include "../heldout/scx.h"

ARENA(1024);

#define IS_NODE 1ULL
#define MARK 3ULL
#define FAN 64

struct rnode {
	u64 above;	/* truth rnode.above -> struct rnode (arena) */
	u32 shift;
	u32 used;
	u64 slots[FAN];	/* none rnode.slots[] */
};

struct rtree {
	u64 root;	/* none rtree.root */
	u64 marked;	/* none rtree.marked */
	u64 latest;	/* truth rtree.latest -> struct thing (arena) */
};

struct thing {
	u64 link;	/* none thing.link */
	u64 in;		/* truth thing.in -> struct rnode (arena) */
	u64 cgrp;	/* truth thing.cgrp -> struct cgroup (kernel) */
	u64 id;
};

struct rtree __arena_global things;

static __noinline u64 new_node(u64 above, u32 shift)
{
	struct rnode __arena *n = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

	if (!n)
		return 0;
	n->above = above;
	n->shift = shift;
	return (u64)n | IS_NODE;
}

static __noinline int radix_put(struct rtree __arena *t, u64 id, u64 thing)
{
	struct rnode __arena *n;
	u64 slot;

	if (!t->root)
		t->root = new_node(0, 18);
	if (!t->root)
		return -12;
	n = (struct rnode __arena *)(t->root & ~IS_NODE);
	while (n->shift && can_loop()) {
		u32 i = (id >> n->shift) & (FAN - 1);

		slot = n->slots[i];
		if (!slot) {
			slot = new_node((u64)n, n->shift - 6);
			if (!slot)
				return -12;
			n->slots[i] = slot;
			n->used++;
		}
		n = (struct rnode __arena *)(slot & ~IS_NODE);
	}
	n->slots[id & (FAN - 1)] = thing;
	n->used++;
	((struct thing __arena *)thing)->in = (u64)n;
	return 0;
}

static __noinline u64 radix_get(struct rtree __arena *t, u64 id)
{
	u64 slot = t->root;

	while ((slot & IS_NODE) && can_loop()) {
		struct rnode __arena *n = (struct rnode __arena *)(slot & ~IS_NODE);

		slot = n->slots[(id >> n->shift) & (FAN - 1)];
	}
	return slot;
}

static __noinline int radix_cut(u64 thing)
{
	struct thing __arena *x = (struct thing __arena *)thing;
	struct rnode __arena *n = (struct rnode __arena *)x->in;

	n->slots[x->id & (FAN - 1)] = 0;
	while (n && !--n->used && can_loop())
		n = (struct rnode __arena *)n->above;
	return 0;
}

static __noinline int mark(struct rtree __arena *t, u64 thing, u64 how)
{
	struct thing __arena *x = (struct thing __arena *)thing;

	x->link = (t->marked & ~MARK) | (how & MARK);
	t->marked = thing | (how & MARK);
	return 0;
}

static __noinline u64 unmark(struct rtree __arena *t)
{
	struct thing __arena *x = (struct thing __arena *)(t->marked & ~MARK);

	if (!x)
		return 0;
	t->marked = x->link;
	return (u64)x;
}

OP2(s32, cgroup_init, struct cgroup *, cgrp, struct scx_cgroup_init_args *, args)
{
	struct thing __arena *x = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

	if (!x)
		return -12;
	x->cgrp = (u64)cgrp;
	x->id = cgrp->kn->id;
	return radix_put(&things, x->id, (u64)x);
}

OP1(void, cgroup_exit, struct cgroup *, cgrp)
{
	u64 x = radix_get(&things, cgrp->kn->id);

	if (x)
		radix_cut(x);
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	struct cgroup *cgrp = scx_bpf_task_cgroup(p);
	u64 x = radix_get(&things, cgrp->kn->id);

	if (x) {
		mark(&things, x, 2);
		things.latest = x;
	}
	bpf_cgroup_release(cgrp);
}

OP2(void, dispatch, s32, cpu, struct task_struct *, prev)
{
	u64 x = unmark(&things);

	if (x && ((struct thing __arena *)x)->id)
		scx_bpf_dsq_move_to_local(((struct thing __arena *)x)->id);
	if (things.latest)
		((struct thing __arena *)things.latest)->id++;
}

DESCRIBE(rnode);
DESCRIBE(thing);
OPS(DO(cgroup_init), DO(cgroup_exit), DO(enqueue), DO(dispatch), .name = "tagged_radix");
LICENSE();
