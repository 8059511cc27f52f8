// SPDX-License-Identifier: GPL-2.0
/* A CLH lock and an MCS lock with nodes of the CPUs, and a ticket lock; locks of
 * domains are at a computed place. */
#include "suite.h"
ARENA_MAP;

#define xchg(p, v) __sync_lock_test_and_set(p, v)
#define cmpxchg(p, old, new) __sync_val_compare_and_swap(p, old, new)
struct clh_node {
	u64 locked; /* truth: clh_node.locked number */
	u64 prev; /* truth: clh_node.prev -> struct clh_node (arena) */
	u32 cpu;
};
struct clh_lock {
	u64 tail; /* truth: clh_lock.tail -> struct clh_node (arena) */
	u64 taken; /* truth: clh_lock.taken number */
};
struct mcsn {
	u64 next; /* truth: mcsn.next -> struct mcsn (arena) */
	u64 count; /* truth: mcsn.count number */
	u32 wait;
};
struct mcs_lock {
	u64 tail; /* truth: mcs_lock.tail -> struct mcsn (arena) */
};
struct ticket {
	u64 now; /* truth: ticket.now number */
	u64 next; /* truth: ticket.next number */
	u64 owner; /* truth: ticket.owner -> struct ldom (arena) */
};
struct ldom {
	struct clh_lock queue_lock;
	struct mcs_lock stats_lock;
	u64 load; /* truth: ldom.load number */
	u64 peer; /* truth: ldom.peer -> struct ldom (arena) */
	u32 id;
	u32 nr;
};
struct pcpu {
	u64 clh; /* truth: pcpu.clh -> struct clh_node (arena) */
	u64 mcs; /* truth: pcpu.mcs -> struct mcsn (arena) */
	u64 held; /* truth: pcpu.held -> struct ldom (arena) */
};
struct {
	__uint(type, PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct pcpu);
} pcpus SEC(".maps");
struct ticket big;
u64 ldoms; /* truth: .bss.ldoms -> struct ldom (arena) */
struct clh_node __arena *typed_clh;
struct mcsn __arena *typed_mcsn;
struct ldom __arena *typed_ldom;
struct clh_lock __arena *typed_clh_lock;
struct mcs_lock __arena *typed_mcs_lock;

static __noinline int clh_acquire(struct clh_lock __arena *l, struct pcpu *me)
{
	struct clh_node __arena *n, *prev;

	if (!l || !me)
		return -1;
	n = (struct clh_node __arena *)me->clh;
	if (!n)
		return -1;
	WRITE_ONCE(n->locked, 1);
	prev = (struct clh_node __arena *)xchg(&l->tail, (u64)n);
	n->prev = (u64)prev;
	if (!prev)
		return 0;
	for_times(i, 1000) {
		if (!READ_ONCE(prev->locked))
			return 0;
	}
	return -11;
}

static __noinline void clh_release(struct clh_lock __arena *l, struct pcpu *me)
{
	struct clh_node __arena *n;

	if (!l || !me || !me->clh)
		return;
	n = (struct clh_node __arena *)me->clh;
	me->clh = n->prev;
	l->taken++;
	WRITE_ONCE(n->locked, 0);
}

static __noinline int mcs_acquire(u64 __arena *tail, struct mcsn __arena *n)
{
	u64 prev;

	n->next = 0;
	n->wait = 1;
	prev = xchg(tail, (u64)n);
	if (!prev)
		return 0;
	WRITE_ONCE(((struct mcsn __arena *)prev)->next, (u64)n);
	for_times(i, 1000) {
		if (!READ_ONCE(n->wait))
			return 0;
	}
	return -11;
}

static __noinline void mcs_unlock(u64 __arena *tail, struct mcsn __arena *n)
{
	struct mcsn __arena *next = (struct mcsn __arena *)READ_ONCE(n->next);

	if (!next) {
		if (cmpxchg(tail, (u64)n, 0) == (u64)n)
			return;
		for_times(i, 1000) {
			next = (struct mcsn __arena *)READ_ONCE(n->next);
			if (next)
				break;
		}
		if (!next)
			return;
	}
	next->count = n->count + 1;
	next->wait = 0;
}

SEC("struct_ops/init_task")
int init_task(u64 *ctx)
{
	struct pcpu *me = LOOKUP(pcpus);
	struct ldom __arena *d;

	if (!me)
		return 0;
	if (!me->clh)
		me->clh = (u64)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!me->mcs)
		me->mcs = (u64)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!ldoms) {
		d = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!d)
			return -12;
		for_times(i, 16) {
			d[i].id = i;
			d[i].peer = (u64)&d[i ^ 1];
		}
		ldoms = (u64)d;
	}
	return 0;
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct pcpu *me = LOOKUP(pcpus);
	struct ldom __arena *d, *peer;
	u64 my;

	if (!me || !ldoms || !me->mcs)
		return;
	d = (struct ldom __arena *)ldoms + (p->pid & 15);
	if (clh_acquire(&d->queue_lock, me))
		return;
	me->held = (u64)d;
	d->nr++;
	peer = (struct ldom __arena *)d->peer;
	if (peer && peer->load > d->load)
		peer->nr--;
	clh_release(&d->queue_lock, me);
	if (mcs_acquire(&d->stats_lock.tail, (struct mcsn __arena *)me->mcs))
		return;
	d->load++;
	mcs_unlock(&d->stats_lock.tail, (struct mcsn __arena *)me->mcs);
	my = __sync_fetch_and_add(&big.next, 1);
	if (READ_ONCE(big.now) != my)
		return;
	big.owner = me->held;
	big.now++;
}

SEC("struct_ops/dispatch")
void dispatch(u64 *ctx)
{
	struct pcpu *me = LOOKUP(pcpus);
	struct ldom __arena *d;

	if (!me || !me->held)
		return;
	d = (struct ldom __arena *)me->held;
	d->nr--;
	d = (struct ldom __arena *)big.owner;
	if (d)
		d->load--;
	me->held = 0;
}
SCHED(.init_task = (void *)init_task, .enqueue = (void *)enqueue, .dispatch = (void *)dispatch);
