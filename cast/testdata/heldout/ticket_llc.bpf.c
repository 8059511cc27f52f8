// SPDX-License-Identifier: GPL-2.0
/* Ticket locks at a computed place: a table of locks hashed by the address of
 * what they guard. */
#include "scx.h"

#define NR_LOCKS 64

LICENSE();
ARENA(256);

struct ticket {
	u32 next;
	u32 serving;
	u64 holder; /* what it guards at the moment */ /* truth ticket.holder -> struct llc_ctx (arena) */
};

struct lock_table {
	struct ticket locks[NR_LOCKS];
	u64 seed; /* none lock_table.seed */
};

struct waiter {
	u64 next; /* truth waiter.next -> struct waiter (arena) */
	u64 p; /* truth waiter.p -> struct task_struct (kernel) */
	u64 key; /* none waiter.key */
};
DESCRIBE(waiter);

struct llc_ctx {
	u64 queue; /* truth llc_ctx.queue -> struct waiter (arena) */
	u64 nr;
	u64 hash; /* none llc_ctx.hash */
	u32 id;
};

struct lock_table __arena *locks;
u64 llcs[16]; /* truth .bss.llcs[] -> struct llc_ctx (arena) */
u64 waiters; /* truth .bss.waiters -> struct waiter (arena) */

static struct ticket __arena *lock_of(u64 addr)
{
	return &locks->locks[((addr ^ locks->seed) * 0x9e3779b97f4a7c15ULL >> 58) & (NR_LOCKS - 1)];
}

static __noinline int lock(struct llc_ctx __arena *llc)
{
	struct ticket __arena *t;
	u32 mine;

	if (!locks)
		return -22;
	t = lock_of((u64)llc);
	mine = __sync_fetch_and_add(&t->next, 1);
	while (READ_ONCE(t->serving) != mine)
		if (!can_loop())
			return -110;
	t->holder = (u64)llc;
	return 0;
}

static __noinline void unlock(struct llc_ctx __arena *llc)
{
	struct ticket __arena *t;
	struct llc_ctx __arena *held;

	if (!locks)
		return;
	t = lock_of((u64)llc);
	held = (struct llc_ctx __arena *)t->holder;
	if (held && held->id != llc->id)
		held->nr = 0;
	t->holder = 0;
	t->serving++;
}

OP0(s32, init)
{
	struct llc_ctx __arena *llc;
	int i;

	locks = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!locks)
		return -12;
	locks->seed = bpf_get_prandom_u32();
	for (i = 0; i < 16; i++) {
		llc = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!llc)
			return -12;
		llc->id = i;
		llc->hash = (u64)llc * 0x9e3779b97f4a7c15ULL;
		llcs[i] = (u64)llc;
	}
	return 0;
}

OP2(void, runnable, struct task_struct *, p, u64, flags)
{
	struct llc_ctx __arena *llc = (struct llc_ctx __arena *)llcs[p->pid & 15];
	struct waiter __arena *w = (struct waiter __arena *)waiters;

	if (!llc)
		return;
	if (w)
		waiters = w->next;
	else
		w = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!w || lock(llc))
		return;
	w->p = (u64)p;
	w->key = (u64)p->pid << 40 | (p->scx.dsq_vtime & 0xffffffffffULL);
	w->next = llc->queue;
	llc->queue = (u64)w;
	llc->nr++;
	unlock(llc);
}

OP2(void, quiescent, struct task_struct *, p, u64, flags)
{
	struct llc_ctx __arena *llc = (struct llc_ctx __arena *)llcs[p->pid & 15];
	struct waiter __arena *w;

	if (!llc || lock(llc))
		return;
	for (w = (struct waiter __arena *)llc->queue; w && can_loop(); w = (struct waiter __arena *)w->next)
		if (w->p == (u64)p)
			w->p = 0;
	unlock(llc);
}

OPS(DO(init), DO(runnable), DO(quiescent), .name = "ticket_llc");
