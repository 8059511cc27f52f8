// SPDX-License-Identifier: GPL-2.0
/* Cells of one size for objects of several types: free ones are chained by their first
 * word, which is a counter while they are in use. */
#include "suite.h"
ARENA_MAP;

struct block {
	u64 owner; /* truth: block.owner -> struct store (arena) */
	u64 other; /* truth: block.other -> struct block (arena) */
	u64 chain; /* truth: block.chain different */
	u32 taken;
	u32 all;
};
struct store {
	u32 bytes;
	u32 nr;
	u64 blocks; /* truth: store.blocks -> struct block (arena) */
	u64 spent; /* truth: store.spent -> struct block (arena) */
};
struct tally {
	u64 wakes; /* truth: tally.wakes number */
	u64 sleeps; /* truth: tally.sleeps number */
	u64 slept; /* truth: tally.slept number */
	u64 last; /* truth: tally.last number */
	u64 hist[4]; /* truth: tally.hist[] number */
};
struct who {
	u64 age; /* truth: who.age number */
	u64 tally; /* truth: who.tally -> struct tally (arena) */
	u32 pid;
	u32 prio;
};
struct who_ref {
	u64 who; /* truth: who_ref.who -> struct who (arena) */
};
struct who __arena *some_who;
struct store __arena *tallies;
struct store __arena *whos;
struct tally __arena *everything;
TASK_MAP(refs, struct who_ref);

static __noinline struct store __arena *store_make(u32 bytes)
{
	struct store __arena *s = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

	if (!s)
		return NULL;
	s->bytes = bytes;
	s->nr = 0;
	return s;
}

static __noinline struct block __arena *block_make(struct store __arena *s)
{
	struct block __arena *b = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	u64 at;

	if (!b)
		return NULL;
	b->owner = (u64)s;
	b->all = 32;
	b->taken = 0;
	b->chain = 0;
	at = (u64)b + sizeof(*b);
	for_times(i, 32) {
		*(u64 __arena *)at = b->chain;
		b->chain = at;
		at += s->bytes;
	}
	b->other = s->blocks;
	s->blocks = (u64)b;
	return b;
}

static __noinline void __arena *store_take(struct store __arena *s)
{
	struct block __arena *b;
	u64 cell;

	if (!s)
		return NULL;
	b = (struct block __arena *)s->blocks;
	if (!b)
		b = block_make(s);
	if (!b)
		return NULL;
	cell = b->chain;
	if (!cell)
		return NULL;
	b->chain = *(u64 __arena *)cell;
	s->nr++;
	if (++b->taken == b->all) {
		s->blocks = b->other;
		b->other = s->spent;
		s->spent = (u64)b;
	}
	return (void __arena *)cell;
}

static __noinline void store_give(void __arena *cell)
{
	struct block __arena *b = (struct block __arena *)((u64)cell & ~4095ULL);
	struct store __arena *s = (struct store __arena *)b->owner;

	*(u64 __arena *)cell = b->chain;
	b->chain = (u64)cell;
	b->taken--;
	s->nr--;
}

SEC("struct_ops/init_task")
void init_task(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct who_ref *ref = bpf_task_storage_get(&refs, p, NULL, 1);
	struct who __arena *w;

	if (!tallies) {
		tallies = store_make(sizeof(struct tally));
		whos = store_make(sizeof(struct who));
		everything = store_take(tallies);
	}
	w = store_take(whos);
	if (!ref || !w)
		return;
	w->pid = p->pid;
	w->prio = 120;
	w->tally = (u64)store_take(tallies);
	ref->who = (u64)w;
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct who_ref *ref = bpf_task_storage_get(&refs, p, NULL, 0);
	struct who __arena *w;
	struct tally __arena *t;

	if (!ref)
		return;
	w = (struct who __arena *)ref->who;
	if (!w)
		return;
	t = (struct tally __arena *)w->tally;
	if (t) {
		t->wakes++;
		t->last = bpf_ktime_get_ns();
		t->hist[w->pid & 3]++;
	}
}

SEC("struct_ops/dispatch")
void dispatch(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 1);
	struct who_ref *ref = bpf_task_storage_get(&refs, p, NULL, 0);
	struct who __arena *w;

	if (!ref || !ref->who)
		return;
	w = (struct who __arena *)ref->who;
	if (w->tally)
		store_give((void __arena *)w->tally);
	store_give(w);
	ref->who = 0;
}

SCHED(.init_task = (void *)init_task, .enqueue = (void *)enqueue, .dispatch = (void *)dispatch);
