// SPDX-License-Identifier: GPL-2.0
/* A buddy allocator over one range of the arena. Free blocks are linked by
 * order; block headers are found by their offset. */
#include "scx.h"

#define MAX_ORDER 8
#define MIN_SHIFT 6

LICENSE();
ARENA(1024);

struct block {
	u64 next; /* truth block.next -> struct block (arena) */
	u64 prev; /* truth block.prev -> struct block (arena) */
	u32 order;
	u32 free;
};

struct buddy {
	u64 base; /* truth buddy.base -> struct block (arena) */
	u64 size;
	u64 free[MAX_ORDER]; /* truth buddy.free[] -> struct block (arena) */
	u64 last_off; /* offset in the range */ /* none buddy.last_off */
};

struct mask {
	u64 words[4];
	u32 weight;
};

struct domain {
	u64 cpus; /* truth domain.cpus -> struct mask (arena) */
	u64 idle; /* truth domain.idle -> struct mask (arena) */
	u32 id;
	u32 seq;
};

struct buddy buddy;
struct domain domains[4];
struct mask __arena *all_cpus;

static __noinline void list_add(struct buddy *b, struct block __arena *blk, u32 order)
{
	struct block __arena *first = (struct block __arena *)b->free[order & (MAX_ORDER - 1)];

	blk->order = order;
	blk->free = 1;
	blk->prev = 0;
	blk->next = (u64)first;
	if (first)
		first->prev = (u64)blk;
	b->free[order & (MAX_ORDER - 1)] = (u64)blk;
}

static __noinline void list_del(struct buddy *b, struct block __arena *blk)
{
	struct block __arena *next = (struct block __arena *)blk->next;
	struct block __arena *prev = (struct block __arena *)blk->prev;

	if (next)
		next->prev = (u64)prev;
	if (prev)
		prev->next = (u64)next;
	else
		b->free[blk->order & (MAX_ORDER - 1)] = (u64)next;
	blk->free = 0;
}

static __noinline u64 buddy_alloc(struct buddy *b, u32 size)
{
	struct block __arena *blk = NULL, *half;
	u32 order, at;

	for (order = 0; order < MAX_ORDER && can_loop(); order++)
		if ((1U << (order + MIN_SHIFT)) >= size + sizeof(struct block))
			break;
	for (at = order; at < MAX_ORDER && can_loop(); at++) {
		blk = (struct block __arena *)b->free[at];
		if (blk)
			break;
	}
	if (!blk)
		return 0;
	list_del(b, blk);
	while (at > order && can_loop()) {
		at--;
		half = (struct block __arena *)((u64)blk + (1ULL << (at + MIN_SHIFT)));
		list_add(b, half, at);
	}
	blk->order = order;
	b->last_off = (u64)blk - b->base;
	return (u64)(blk + 1);
}

static __noinline void buddy_free(struct buddy *b, u64 addr)
{
	struct block __arena *blk = (struct block __arena *)addr - 1, *other;
	u64 off = (u64)blk - b->base;

	while (blk->order < MAX_ORDER - 1 && can_loop()) {
		other = (struct block __arena *)(b->base + (off ^ (1ULL << (blk->order + MIN_SHIFT))));
		if (!other->free || other->order != blk->order)
			break;
		list_del(b, other);
		off &= ~(1ULL << (blk->order + MIN_SHIFT));
		blk = (struct block __arena *)(b->base + off);
		blk->order++;
	}
	list_add(b, blk, blk->order);
}

OP0(s32, init)
{
	struct block __arena *first = bpf_arena_alloc_pages(&arena, NULL, 8, -1, 0);
	struct mask __arena *m;
	int i;

	if (!first)
		return -12;
	buddy.base = (u64)first;
	buddy.size = 8 * 4096;
	list_add(&buddy, first, MAX_ORDER - 1);
	for (i = 0; i < 4; i++) {
		m = (struct mask __arena *)buddy_alloc(&buddy, sizeof(*m));
		if (!m)
			return -12;
		m->words[0] = 0xffULL << (i * 8);
		m->weight = 8;
		domains[i].cpus = (u64)m;
		domains[i].id = i;
		if (!i)
			all_cpus = m;
	}
	return 0;
}

OP2(void, set_cpumask, struct task_struct *, p, const struct cpumask *, mask)
{
	struct domain *d = &domains[p->pid & 3];
	struct mask __arena *old = (struct mask __arena *)d->idle, *m, *all;

	all = (struct mask __arena *)d->cpus;
	m = (struct mask __arena *)buddy_alloc(&buddy, sizeof(*m));
	if (!m || !all)
		return;
	m->words[0] = all->words[0] & ~1ULL;
	m->words[1] = all->words[1];
	m->weight = all->weight - 1;
	d->idle = (u64)m;
	d->seq++;
	if (old)
		buddy_free(&buddy, (u64)old);
}

OPS(DO(init), DO(set_cpumask), .name = "buddy");
