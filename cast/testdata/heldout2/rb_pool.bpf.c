// SPDX-License-Identifier: GPL-2.0
/*
 * A red-black tree of free CPU time by hash. A free node keeps the next free one
 * where a used one has its key; the parent's word also has the colour.
 */
#include "../heldout/scx.h"

LICENSE();
ARENA(512);

enum { RED, BLACK };

struct rbn {
	union {
		u64 next_free; /* truth rbn.next_free -> struct rbn (arena) */
		u64 key; /* none rbn.key */
	};
	u64 kid[2]; /* truth rbn.kid[] -> struct rbn (arena) */
	u64 up_color; /* none rbn.up_color */
	void __arena *val; /* truth rbn.val -> struct budget (arena) */
};

struct rbt {
	void __arena *top; /* truth rbt.top -> struct rbn (arena) */
	void __arena *freed; /* truth rbt.freed -> struct rbn (arena) */
	void __arena *slab; /* truth rbt.slab -> struct rbn (arena) */
	u64 seed; /* none rbt.seed */
	u64 bytes; /* none rbt.bytes */
};

struct budget {
	u64 left;
	u64 refilled_at;
	u64 sum; /* of the comm's letters */ /* none budget.sum */
	void __arena *home; /* truth budget.home -> struct rbt (arena) */
};
DESCRIBE(budget);

u64 forest[4]; /* truth .bss.forest[] -> struct rbt (arena) */

typedef struct rbn __arena *rbp;

static __always_inline rbp rb_up(rbp n)
{
	return (rbp)(n->up_color & ~1ULL);
}

static __always_inline void rb_set_up(rbp n, rbp up)
{
	n->up_color = (u64)up | (n->up_color & 1);
}

static __always_inline void rb_paint(rbp n, int color)
{
	n->up_color = (n->up_color & ~1ULL) | color;
}

#define is_red(n) ((n) && !((n)->up_color & 1))
#define kid_of(n, d) ((rbp)(n)->kid[d])

static __noinline rbp rb_new(struct rbt __arena *t, u64 key)
{
	rbp n = t->freed;

	if (!n)
		goto out;
	t->freed = (void __arena *)n->next_free;
	n->key = key;
	n->kid[0] = 0;
	n->kid[1] = 0;
	n->up_color = RED;
out:
	return n;
}

static __noinline void rb_rotate(struct rbt __arena *t, rbp n, u32 dir)
{
	rbp up = rb_up(n), other, inner;

	dir &= 1;
	other = kid_of(n, !dir);
	if (!other)
		return;
	inner = kid_of(other, dir);
	n->kid[!dir] = (u64)inner;
	if (inner)
		rb_set_up(inner, n);
	other->kid[dir] = (u64)n;
	rb_set_up(n, other);
	rb_set_up(other, up);
	if (!up)
		t->top = other;
	else
		up->kid[up->kid[1] == (u64)n] = (u64)other;
}

static __noinline void rb_fix(struct rbt __arena *t, rbp n)
{
	rbp up, grand, uncle;
	u32 dir;

	for (; can_loop();) {
		up = rb_up(n);
		if (!is_red(up))
			break;
		grand = rb_up(up);
		if (!grand)
			break;
		dir = grand->kid[1] == (u64)up;
		uncle = kid_of(grand, !dir);
		if (is_red(uncle)) {
			rb_paint(up, BLACK);
			rb_paint(uncle, BLACK);
			rb_paint(grand, RED);
			n = grand;
			continue;
		}
		if (up->kid[!dir] == (u64)n) {
			rb_rotate(t, up, dir);
			n = up;
			up = rb_up(n);
			if (!up)
				break;
		}
		rb_paint(up, BLACK);
		rb_paint(grand, RED);
		rb_rotate(t, grand, !dir);
	}
	n = t->top;
	if (n)
		rb_paint(n, BLACK);
}

static __noinline rbp rb_get(struct rbt __arena *t, u64 key)
{
	rbp n = t->top, up = NULL;
	u32 dir = 0;

	while (n && can_loop()) {
		if (n->key == key)
			return n;
		up = n;
		dir = key > n->key;
		n = kid_of(n, dir);
	}
	n = rb_new(t, key);
	if (!n)
		return NULL;
	rb_set_up(n, up);
	if (up)
		up->kid[dir] = (u64)n;
	else
		t->top = n;
	rb_fix(t, n);
	return n;
}

static __noinline void rb_drop(struct rbt __arena *t, rbp n)
{
	n->next_free = (u64)t->freed;
	t->freed = n;
}

static int plant(u32 at)
{
	struct rbt __arena *t = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	rbp n;
	u32 i;

	if (!t)
		return -12;
	n = bpf_arena_alloc_pages(&arena, NULL, 2, -1, 0);
	if (!n)
		return -12;
	t->slab = n;
	t->bytes = 8192;
	t->seed = bpf_get_prandom_u32();
	for (i = 0; i < 8192 / sizeof(*n) && can_loop(); i++, n++)
		rb_drop(t, n);
	forest[at & 3] = (u64)t;
	return 0;
}

OP0(s32, init)
{
	int i, err = 0;

	for (i = 0; i < 4 && !err; i++)
		err = plant(i);
	return err;
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	struct rbt __arena *t = (struct rbt __arena *)forest[p->tgid & 3];
	struct budget __arena *b;
	u64 slice = SCX_SLICE_DFL, now = bpf_ktime_get_ns();
	rbp n;

	if (!t)
		goto insert;
	n = rb_get(t, (t->seed ^ p->tgid) * 0x9E3779B97F4A7C15ULL);
	if (!n)
		goto insert;
	b = n->val;
	if (!b) {
		b = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!b)
			goto insert;
		b->home = t;
		b->sum = t->seed + p->pid;
		n->val = b;
	}
	if (now - b->refilled_at > 1000000) {
		b->left = slice;
		b->refilled_at = now;
	}
	slice = b->left;
	if (b->home != t)
		((struct rbt __arena *)b->home)->bytes++;
insert:
	scx_bpf_dsq_insert(p, SCX_DSQ_GLOBAL, slice, flags);
}

OP2(void, exit_task, struct task_struct *, p, struct scx_exit_task_args *, args)
{
	struct rbt __arena *t = (struct rbt __arena *)forest[p->tgid & 3];
	rbp first;

	if (!t)
		return;
	first = t->slab;
	if (first && !rb_up(first) && t->top != (void __arena *)first)
		rb_drop(t, first);
}

OPS(DO(init), DO(enqueue), DO(exit_task), .name = "rb_pool");
