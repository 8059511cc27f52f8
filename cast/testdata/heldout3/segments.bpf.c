/* SPDX-License-Identifier: GPL-2.0 */
/* A stack made of segments of slots: an emptied segment is kept as a spare. What
 * lies on a stack are the free objects of a pool. */
#include "scx.h"

#define SLOTS 32

ARENA_MAP(arena);

struct segment {
	struct segment __arena *below;
	u64 slots[SLOTS]; /* truth: segment.slots[] -> struct conn (arena) */
};

struct stack {
	struct segment __arena *top;
	struct segment __arena *spare;
	u32 fill;
	u64 depth;
};

struct conn {
	u64 id;
	struct conn __arena *peer;
	struct stack __arena *origin;
	u64 owner; /* truth: conn.owner -> struct task_struct (kernel) */
};

struct side {
	struct stack __arena *pool;
	u64 active; /* truth: side.active -> struct conn (arena) */
	u64 opened;
};

struct side sides[2];
struct stack __arena *last_used;

static __noinline void drop(struct stack __arena *s, struct segment __arena *seg)
{
	struct segment __arena *old = s->spare;

	s->spare = seg;
	if (old)
		bpf_arena_free_pages(&arena, old, 1);
}

static int push(struct stack __arena *s, u64 addr)
{
	struct segment __arena *seg = s->top;

	if (!seg || s->fill == SLOTS) {
		seg = s->spare;
		if (seg)
			s->spare = NULL;
		else
			seg = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!seg)
			return -ENOMEM;
		seg->below = s->top;
		s->top = seg;
		s->fill = 0;
	}
	seg->slots[s->fill & (SLOTS - 1)] = addr;
	s->fill++;
	s->depth++;
	return 0;
}

static u64 pop(struct stack __arena *s)
{
	struct segment __arena *seg = s->top;
	u64 addr;

	if (!seg || !s->depth)
		return 0;
	s->fill--;
	s->depth--;
	addr = seg->slots[s->fill & (SLOTS - 1)];
	if (s->fill)
		return addr;
	s->top = seg->below;
	s->fill = s->top ? SLOTS : 0;
	drop(s, seg);
	return addr;
}

static int grow(struct stack __arena *s)
{
	struct conn __arena *batch = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

	if (!batch)
		return -ENOMEM;
	for (u32 i = 0; i < PAGE / sizeof(*batch); i++) {
		batch[i].origin = s;
		if (push(s, (u64)&batch[i]))
			return -ENOMEM;
	}
	return 0;
}

static __noinline void pair(struct conn __arena *a, struct conn __arena *b)
{
	a->peer = b;
	b->peer = a;
}

SEC("struct_ops/segments_init_task")
int segments_init_task(u64 *ctx)
{
	struct task_struct *p = (struct task_struct *)ARG(ctx, 0);
	struct conn __arena *a, *b;
	struct side *side = &sides[p->pid & 1];

	if (!side->pool)
		return -EINVAL;
	if (side->pool->depth < 2 && grow(side->pool))
		return -ENOMEM;
	a = (struct conn __arena *)pop(side->pool);
	b = (struct conn __arena *)pop(side->pool);
	if (!a || !b)
		return -ENOMEM;
	a->id = side->opened++;
	a->owner = (u64)p;
	b->owner = (u64)p;
	pair(a, b);
	side->active = (u64)a;
	last_used = side->pool;
	return 0;
}

SEC("struct_ops/segments_dispatch")
int segments_dispatch(u64 *ctx)
{
	struct side *side = &sides[ARG(ctx, 0) & 1];
	struct conn __arena *c = (struct conn __arena *)side->active, *peer;
	struct task_struct *owner;

	if (!c)
		return 0;
	peer = c->peer;
	owner = core_cast(c->owner, struct task_struct);
	side->active = 0;
	if (last_used && !last_used->depth)
		return 0;
	if (peer)
		push(peer->origin, (u64)peer);
	push(c->origin, (u64)c);
	return owner->pid;
}

SEC("syscall")
int segments_init(void *ctx)
{
	for (u32 i = 0; i < 2; i++) {
		sides[i].pool = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!sides[i].pool)
			return -ENOMEM;
	}
	return grow(sides[0].pool);
}

SEC(".struct_ops.link")
struct test_ops segments_ops = {
	.init_task = (void *)segments_init_task,
	.dispatch = (void *)segments_dispatch,
};
