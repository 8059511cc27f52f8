/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A buddy allocator: lists of free blocks by order, chunks that hold the state of their
 * blocks, and the buddy's address by exclusive or. Users keep arrays and contexts in it.
 */
#include "../heldout/scx.h"

ARENA(4096);

#define ORDERS 8
#define MIN_SHIFT 6
#define CHUNK_BYTES (1ULL << (MIN_SHIFT + ORDERS))

struct block {
	u64 next;	/* truth block.next -> struct block (arena) */
	u64 prev;	/* truth block.prev -> struct block (arena) */
};

struct bchunk {
	u8 orders[512];
	u64 base;	/* none bchunk.base */
	u64 after;	/* truth bchunk.after -> struct bchunk (arena) */
	u64 buddy;	/* truth bchunk.buddy -> struct buddy (arena) */
};

struct buddy {
	u64 free[ORDERS];	/* truth buddy.free[] -> struct block (arena) */
	u64 chunks;		/* truth buddy.chunks -> struct bchunk (arena) */
	u64 lock;
};

struct pctx {
	u64 queue;	/* truth pctx.queue -> struct vec (arena) */
	u64 prev;	/* truth pctx.prev -> struct task_struct (kernel) */
	u64 cpu;
};

struct vec {
	u64 nr;
	u64 owner;	/* truth vec.owner -> struct pctx (arena) */
	u64 tasks[30];	/* truth vec.tasks[] -> struct task_struct (kernel) */
};

struct buddy __arena_global mem;
u64 pctxs[256];	/* truth .bss.pctxs[] -> struct pctx (arena) */

static __noinline int block_add(struct buddy __arena *b, u32 order, u64 at)
{
	struct block __arena *k = (struct block __arena *)at;

	if (order >= ORDERS)
		return -22;
	k->prev = 0;
	k->next = b->free[order];
	if (k->next)
		((struct block __arena *)k->next)->prev = at;
	b->free[order] = at;
	return 0;
}

static __noinline int block_del(struct buddy __arena *b, u32 order, u64 at)
{
	struct block __arena *k = (struct block __arena *)at;

	if (order >= ORDERS)
		return -22;
	if (k->prev)
		((struct block __arena *)k->prev)->next = k->next;
	else
		b->free[order] = k->next;
	if (k->next)
		((struct block __arena *)k->next)->prev = k->prev;
	return 0;
}

static __noinline struct bchunk __arena *chunk_of(struct buddy __arena *b, u64 at)
{
	u64 c = b->chunks;

	while (c && can_loop()) {
		struct bchunk __arena *k = (struct bchunk __arena *)c;

		if (at - k->base < CHUNK_BYTES)
			return k;
		c = k->after;
	}
	return NULL;
}

static __noinline int buddy_grow(struct buddy __arena *b)
{
	struct bchunk __arena *k = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	u64 base = (u64)bpf_arena_alloc_pages(&arena, NULL, 4, -1, 0);

	if (!k || !base)
		return -12;
	k->base = base;
	k->buddy = (u64)b;
	k->after = b->chunks;
	b->chunks = (u64)k;
	return block_add(b, ORDERS - 1, base);
}

static __noinline u64 buddy_alloc(struct buddy __arena *b, u64 size)
{
	u32 order = 0, at;
	struct bchunk __arena *k;
	u64 got;

	while (order < ORDERS && (1ULL << (MIN_SHIFT + order)) < size && can_loop())
		order++;
	for (at = order; at < ORDERS && can_loop(); at++)
		if (b->free[at])
			break;
	if (at >= ORDERS) {
		if (buddy_grow(b))
			return 0;
		at = ORDERS - 1;
	}
	got = b->free[at];
	if (!got)
		return 0;
	block_del(b, at, got);
	while (at > order && can_loop()) {
		at--;
		block_add(b, at, got + (1ULL << (MIN_SHIFT + at)));
	}
	k = chunk_of(b, got);
	if (k)
		k->orders[((got - k->base) >> MIN_SHIFT) & 511] = order + 1;
	return got;
}

static __noinline int buddy_free(u64 at)
{
	struct bchunk __arena *k = chunk_of(&mem, at);
	struct buddy __arena *b;
	u32 order;
	u64 other;

	if (!k)
		return -22;
	b = (struct buddy __arena *)k->buddy;
	order = k->orders[((at - k->base) >> MIN_SHIFT) & 511] - 1;
	while (order < ORDERS - 1 && can_loop()) {
		other = k->base + ((at - k->base) ^ (1ULL << (MIN_SHIFT + order)));
		if (k->orders[((other - k->base) >> MIN_SHIFT) & 511])
			break;
		block_del(b, order, other);
		if (other < at)
			at = other;
		order++;
	}
	return block_add(b, order, at);
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	struct pctx __arena *c = (struct pctx __arena *)pctxs[scx_bpf_task_cpu(p) & 255];
	struct vec __arena *v;

	if (!c)
		return;
	v = (struct vec __arena *)c->queue;
	if (!v) {
		v = (struct vec __arena *)buddy_alloc(&mem, sizeof(*v));
		if (!v)
			return;
		v->nr = 0;
		v->owner = (u64)c;
		c->queue = (u64)v;
	}
	if (v->nr < 30)
		v->tasks[v->nr++] = (u64)p;
}

OP2(void, dispatch, s32, cpu, struct task_struct *, prev)
{
	struct pctx __arena *c = (struct pctx __arena *)pctxs[cpu & 255];
	struct vec __arena *v;

	if (!c)
		return;
	c->prev = (u64)prev;
	v = (struct vec __arena *)c->queue;
	if (v && v->nr && v->nr < 30)
		v->nr--;
	if (v && !v->nr) {
		((struct pctx __arena *)v->owner)->queue = 0;
		buddy_free((u64)v);
	}
}

OP0(s32, init)
{
	u32 i;

	for (i = 0; i < 256 && can_loop(); i++) {
		struct pctx __arena *c = (struct pctx __arena *)buddy_alloc(&mem, sizeof(*c));

		if (!c)
			return -12;
		c->cpu = i;
		c->queue = 0;
		pctxs[i] = (u64)c;
	}
	return 0;
}

DESCRIBE(block);
DESCRIBE(bchunk);
DESCRIBE(pctx);
DESCRIBE(vec);
OPS(DO(enqueue), DO(dispatch), DO(init), .name = "buddy_lists");
LICENSE();
