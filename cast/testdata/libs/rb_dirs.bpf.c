/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A red-black tree by deadline. Children are an array that is indexed by
 * direction, and links are found by comparing addresses of members. The colour
 * is the low bit of the parent. Nodes lead to the tasks' contexts.
 */
#include "../heldout/scx.h"

ARENA(1024);

struct dnode {
	u64 up;		/* none dnode.up */
	u64 child[2];	/* truth dnode.child[] -> struct dnode (arena) */
	u64 key;
	u64 owner;	/* truth dnode.owner -> struct dctx (arena) */
};

struct dtree {
	u64 top;	/* truth dtree.top -> struct dnode (arena) */
	u64 first;	/* truth dtree.first -> struct dnode (arena) */
	u32 count;
};

struct dctx {
	u64 node;	/* truth dctx.node -> struct dnode (arena) */
	u64 task;	/* truth dctx.task -> struct task_struct (kernel) */
	u64 deadline;
	u64 runs;
};

u64 deadlines;		/* truth .bss.deadlines -> struct dtree (arena) */
u64 bump_base, bump_used;	/* may .bss.bump_base -> struct dnode (arena) */ /* none .bss.bump_used */

struct tctx {
	u64 ctx;	/* truth tctx.ctx -> struct dctx (arena) */
};
STORAGE(tctxs, BPF_MAP_TYPE_TASK_STORAGE, struct tctx);

#define RED 1ULL
#define D(x) ((struct dnode __arena *)(x))
#define UP(n) D((n)->up & ~RED)
#define is_red(n) ((n) && ((n)->up & RED))

static __noinline u64 carve(u64 size)
{
	u64 at;

	if (!bump_base || bump_used + size > 4096) {
		bump_base = (u64)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		bump_used = 0;
		if (!bump_base)
			return 0;
	}
	at = bump_base + bump_used;
	bump_used += (size + 7) & ~7ULL;
	return at;
}

static void turn(struct dtree __arena *t, struct dnode __arena *n, int dir)
{
	struct dnode __arena *up = UP(n), *riser = D(n->child[!dir]), *moved;

	if (!riser)
		return;
	moved = D(riser->child[dir]);
	n->child[!dir] = (u64)moved;
	if (moved)
		moved->up = (u64)n | (moved->up & RED);
	riser->child[dir] = (u64)n;
	riser->up = (u64)up | (riser->up & RED);
	if (!up)
		t->top = (u64)riser;
	else
		up->child[D(up->child[1]) == n] = (u64)riser;
	n->up = (u64)riser | (n->up & RED);
}

static __noinline int mend(struct dtree __arena *t, struct dnode __arena *n)
{
	struct dnode __arena *up, *grand, *uncle;
	int dir;

	while (can_loop()) {
		up = UP(n);
		if (!up || !(up->up & RED))
			break;
		grand = UP(up);
		if (!grand)
			break;
		dir = up == D(grand->child[1]);
		uncle = D(grand->child[!dir]);
		if (is_red(uncle)) {
			up->up &= ~RED;
			uncle->up &= ~RED;
			grand->up |= RED;
			n = grand;
			continue;
		}
		if (n == D(up->child[!dir])) {
			turn(t, up, dir);
			n = up;
			up = UP(n);
			if (!up)
				break;
		}
		up->up &= ~RED;
		grand->up |= RED;
		turn(t, grand, !dir);
	}
	n = D(t->top);
	if (n)
		n->up &= ~RED;
	return 0;
}

static __noinline int put_in(struct dtree __arena *t, u64 key, struct dctx __arena *c)
{
	struct dnode __arena *n = D(c->node), *up = NULL, *at;
	int dir = 0;

	if (!n) {
		n = D(carve(sizeof(*n)));
		if (!n)
			return -12;
		c->node = (u64)n;
		n->owner = (u64)c;
	}
	n->key = key;
	n->child[0] = 0;
	n->child[1] = 0;
	at = D(t->top);
	while (at && can_loop()) {
		up = at;
		dir = key >= at->key;
		at = D(at->child[dir]);
	}
	n->up = (u64)up | RED;
	if (up)
		up->child[dir] = (u64)n;
	else
		t->top = (u64)n;
	if (!t->first || key < D(t->first)->key)
		t->first = (u64)n;
	t->count++;
	return mend(t, n);
}

static __noinline u64 next_of(struct dnode __arena *n)
{
	struct dnode __arena *up;

	if (n->child[1]) {
		n = D(n->child[1]);
		while (n->child[0] && can_loop())
			n = D(n->child[0]);
		return (u64)n;
	}
	up = UP(n);
	while (up && n == D(up->child[1]) && can_loop()) {
		n = up;
		up = UP(up);
	}
	return (u64)up;
}

static __noinline int take_first(struct dtree __arena *t)
{
	struct dnode __arena *n = D(t->first), *up, *rest;

	if (!n)
		return 0;
	up = UP(n);
	rest = D(n->child[1]);
	t->first = next_of(n);
	if (up)
		up->child[0] = (u64)rest;
	else
		t->top = (u64)rest;
	if (rest)
		rest->up = (u64)up;
	t->count--;
	((struct dctx __arena *)n->owner)->runs++;
	return n->key;
}

OP2(s32, init_task, struct task_struct *, p, struct scx_init_task_args *, args)
{
	struct tctx *tc = bpf_task_storage_get(&tctxs, p, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	struct dctx __arena *c;

	if (!tc)
		return -12;
	c = (struct dctx __arena *)carve(sizeof(*c));
	if (!c)
		return -12;
	c->task = (u64)p;
	c->node = 0;
	tc->ctx = (u64)c;
	return 0;
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	struct tctx *tc = bpf_task_storage_get(&tctxs, p, NULL, 0);
	struct dctx __arena *c;

	if (!tc || !tc->ctx)
		return;
	c = (struct dctx __arena *)tc->ctx;
	c->deadline = p->scx.dsq_vtime + bpf_ktime_get_ns();
	put_in((struct dtree __arena *)deadlines, c->deadline, c);
}

OP2(void, dispatch, s32, cpu, struct task_struct *, prev)
{
	struct dtree __arena *t = (struct dtree __arena *)deadlines;

	if (t && t->count)
		take_first(t);
}

OP0(s32, init)
{
	deadlines = carve(sizeof(struct dtree));
	return deadlines ? 0 : -12;
}

OPS(DO(init_task), DO(enqueue), DO(dispatch), DO(init), .name = "rb_dirs");
LICENSE();
