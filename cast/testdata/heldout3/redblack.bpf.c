/* SPDX-License-Identifier: GPL-2.0 */
/* A red-black tree in an arena whose values are of the caller: tasks by virtual
 * time in one tree, cache domains by their number in another. */
#include "scx.h"

ARENA_MAP(arena);

struct rbnode {
	struct rbnode __arena *up;
	struct rbnode __arena *kid[2];
	u64 key;
	u64 value; /* truth: rbnode.value different */
	u32 red;
};

typedef struct rbnode __arena rbnode_t;

struct rbtree {
	rbnode_t *root;
	rbnode_t *unused;
	u64 nr;
};

typedef struct rbtree __arena rbtree_t;

struct cache {
	u64 id;
	u64 load;
	rbtree_t *waiting;
};

struct queued {
	s32 pid;
	u64 vtime;
	u64 node; /* truth: queued.node -> struct rbnode (arena) */
	struct cache __arena *home;
};

rbtree_t *caches;
u64 arrivals; /* truth: .bss.arrivals -> struct rbtree (arena) */

static rbnode_t *take_node(rbtree_t *tree)
{
	rbnode_t *n = tree->unused;

	if (n) {
		tree->unused = n->kid[1];
		return n;
	}
	return bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
}

static void rotate(rbtree_t *tree, rbnode_t *top, int dir)
{
	rbnode_t *pivot = top->kid[!dir], *up = top->up, *inner;

	inner = pivot->kid[dir];
	top->kid[!dir] = inner;
	if (inner)
		inner->up = top;
	pivot->up = up;
	if (!up)
		tree->root = pivot;
	else
		up->kid[up->kid[1] == top] = pivot;
	pivot->kid[dir] = top;
	top->up = pivot;
}

static __noinline void repair(rbtree_t *tree, rbnode_t *n)
{
	rbnode_t *up, *grand, *uncle;
	int dir;

	for (u32 i = 0; i < 64; i++) {
		up = n->up;
		if (!up || !up->red)
			break;
		grand = up->up;
		if (!grand)
			break;
		dir = grand->kid[1] == up;
		uncle = grand->kid[!dir];
		if (uncle && uncle->red) {
			up->red = 0;
			uncle->red = 0;
			grand->red = 1;
			n = grand;
			continue;
		}
		if (n == up->kid[!dir]) {
			rotate(tree, up, dir);
			n = up;
			up = n->up;
		}
		up->red = 0;
		grand->red = 1;
		rotate(tree, grand, !dir);
	}
	tree->root->red = 0;
}

__noinline int rb_add(rbtree_t *tree __arg_arena, u64 key, u64 value, u64 __arena *out __arg_arena)
{
	rbnode_t *at = tree->root, *up = NULL, *n;
	int dir = 0;

	for (u32 i = 0; i < 64 && at; i++) {
		up = at;
		dir = key > at->key;
		at = at->kid[dir];
	}
	n = take_node(tree);
	if (!n)
		return -ENOMEM;
	n->key = key;
	n->value = value;
	n->red = 1;
	n->up = up;
	n->kid[0] = n->kid[1] = NULL;
	if (up)
		up->kid[dir] = n;
	else
		tree->root = n;
	tree->nr++;
	repair(tree, n);
	if (out)
		*out = (u64)n;
	return 0;
}

__noinline u64 rb_first(rbtree_t *tree __arg_arena)
{
	rbnode_t *at = tree->root;

	for (u32 i = 0; i < 64 && at && at->kid[0]; i++)
		at = at->kid[0];
	return at ? at->value : 0;
}

__noinline u64 rb_find(rbtree_t *tree __arg_arena, u64 key)
{
	rbnode_t *at = tree->root;

	for (u32 i = 0; i < 64 && at; i++) {
		if (at->key == key)
			return at->value;
		at = at->kid[key > at->key];
	}
	return 0;
}

static __noinline int queue_up(struct queued __arena *q, struct cache __arena *home)
{
	q->home = home;
	if (!home)
		return rb_add((rbtree_t *)arrivals, q->vtime, (u64)q, &q->node);
	home->load++;
	return rb_add(home->waiting, q->vtime, (u64)q, &q->node);
}

SEC("struct_ops/redblack_enqueue")
int redblack_enqueue(u64 *ctx)
{
	struct task_struct *p = (struct task_struct *)ARG(ctx, 0);
	struct queued __arena *q = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	struct cache __arena *home;

	if (!q || !caches)
		return 0;
	home = (struct cache __arena *)rb_find(caches, p->pid & 7);
	q->pid = p->pid;
	q->vtime = p->start_time;
	return queue_up(q, home);
}

SEC("struct_ops/redblack_dispatch")
int redblack_dispatch(u64 *ctx)
{
	struct cache __arena *c;
	struct queued __arena *q = (struct queued __arena *)rb_first((rbtree_t *)arrivals);
	rbnode_t *n;

	if (!q)
		return 0;
	n = (rbnode_t *)q->node;
	n->key = q->vtime + 1;
	c = q->home;
	if (c && c->load)
		c->load--;
	return q->pid;
}

SEC("syscall")
int redblack_init(void *ctx)
{
	struct cache __arena *c;

	caches = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	arrivals = (u64)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!caches)
		return -ENOMEM;
	for (u32 i = 0; i < 8; i++) {
		c = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!c)
			return -ENOMEM;
		c->id = i;
		c->waiting = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		rb_add(caches, i, (u64)c, NULL);
	}
	return 0;
}

SEC(".struct_ops.link")
struct test_ops redblack_ops = {
	.enqueue = (void *)redblack_enqueue,
	.dispatch = (void *)redblack_dispatch,
};
