/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A queue lock whose waiters spin on nodes of their own, found at a computed
 * place by CPU and depth, and a ticket lock. Both guard a list of an arena's.
 */
#include "../heldout/scx.h"

ARENA(256);

struct waiter {
	u64 next;	/* truth waiter.next -> struct waiter (arena) */
	u32 locked;
	u32 depth;
};

struct percpu_waiters {
	struct waiter w[4];
	u32 depth;
};

struct qlock {
	u64 tail;	/* truth qlock.tail -> struct waiter (arena) */
	u64 holder;	/* truth qlock.holder -> struct waiter (arena) */
};

struct tlock {
	u32 turn;
	u32 next;
	u64 owner;	/* truth tlock.owner -> struct task_struct (kernel) */
};

struct guarded {
	struct qlock lock;
	struct tlock tickets;
	u64 list;	/* truth guarded.list -> struct item (arena) */
	u64 fallback;	/* truth guarded.fallback -> struct guarded (arena) */
	u64 length;
};

struct item {
	u64 next;	/* truth item.next -> struct item (arena) */
	u64 task;	/* truth item.task -> struct task_struct (kernel) */
	u64 home;	/* truth item.home -> struct guarded (arena) */
};

u64 waiters;		/* truth .bss.waiters -> struct percpu_waiters (arena) */
struct guarded __arena_global all[16];

static __always_inline struct waiter __arena *my_waiter(u32 cpu)
{
	struct percpu_waiters __arena *pw = (struct percpu_waiters __arena *)waiters + (cpu & 63);
	u32 depth = pw->depth++ & 3;

	return &pw->w[depth];
}

static __noinline u64 qlock_take(struct qlock __arena *l)
{
	struct waiter __arena *me = my_waiter(bpf_get_smp_processor_id());
	u64 before;

	me->next = 0;
	me->locked = 0;
	before = xchg(&l->tail, (u64)me);
	if (before) {
		WRITE_ONCE(((struct waiter __arena *)before)->next, (u64)me);
		while (!READ_ONCE(me->locked) && can_loop())
			;
	}
	l->holder = (u64)me;
	return (u64)me;
}

static __noinline int qlock_give(struct qlock __arena *l, u64 mine)
{
	struct waiter __arena *me = (struct waiter __arena *)mine;
	struct percpu_waiters __arena *pw = (struct percpu_waiters __arena *)waiters + (bpf_get_smp_processor_id() & 63);
	u64 next = READ_ONCE(me->next);

	l->holder = 0;
	if (!next) {
		if (cmpxchg(&l->tail, mine, 0) == mine)
			goto out;
		while (!(next = READ_ONCE(me->next)) && can_loop())
			;
	}
	if (next)
		WRITE_ONCE(((struct waiter __arena *)next)->locked, 1);
out:
	pw->depth--;
	return 0;
}

static __noinline int tlock_take(struct tlock __arena *l, struct task_struct *p)
{
	u32 mine = __sync_fetch_and_add(&l->next, 1);

	while (READ_ONCE(l->turn) != mine && can_loop())
		;
	xchg(&l->owner, (u64)p);
	return 0;
}

static __noinline int tlock_give(struct tlock __arena *l)
{
	xchg(&l->owner, 0);
	__sync_fetch_and_add(&l->turn, 1);
	return 0;
}

OP0(s32, init)
{
	int i;

	waiters = (u64)bpf_arena_alloc_pages(&arena, NULL, 2, -1, 0);
	for (i = 0; i < 15 && can_loop(); i++)
		all[i].fallback = (u64)&all[i + 1];
	return waiters ? 0 : -12;
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	struct guarded __arena *g = &all[p->pid & 15];
	struct item __arena *it = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	u64 mine;

	if (!it)
		return;
	it->task = (u64)bpf_task_acquire(p);
	it->home = (u64)g;
	mine = qlock_take(&g->lock);
	it->next = g->list;
	g->list = (u64)it;
	g->length++;
	qlock_give(&g->lock, mine);
}

OP2(void, dispatch, s32, cpu, struct task_struct *, prev)
{
	struct guarded __arena *g = &all[cpu & 15];
	struct item __arena *it;
	u64 mine;

	if (!g->list && g->fallback)
		g = (struct guarded __arena *)g->fallback;
	mine = qlock_take(&g->lock);
	it = (struct item __arena *)g->list;
	if (it) {
		g->list = it->next;
		((struct guarded __arena *)it->home)->length--;
	}
	qlock_give(&g->lock, mine);
	if (it) {
		tlock_take(&g->tickets, prev);
		bpf_arena_free_pages(&arena, it, 1);
		tlock_give(&g->tickets);
	}
}

DESCRIBE(percpu_waiters);
DESCRIBE(waiter);
DESCRIBE(item);
OPS(DO(init), DO(enqueue), DO(dispatch), .name = "qlocks");
LICENSE();
