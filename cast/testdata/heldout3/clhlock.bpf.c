/* SPDX-License-Identifier: GPL-2.0 */
/* Queue locks: one where a waiter spins on the node before its own, one where
 * it is told by its predecessor. Both guard lists of a domain. */
#include "scx.h"

#define CPUS 64

ARENA_MAP(arena);

struct clh_node {
	u64 locked;
	struct clh_node __arena *prev;
};

struct mcs_node {
	struct mcs_node __arena *next;
	u64 wait;
	u32 cpu;
};

typedef struct clh_node __arena clh_t;
typedef struct mcs_node __arena mcs_t;

struct waiter {
	clh_t *mine;
	struct mcs_node node;
	u64 held; /* truth: waiter.held -> struct dom (arena) */
};

struct dom {
	u64 clh_tail; /* truth: dom.clh_tail -> struct clh_node (arena) */
	u64 mcs_tail; /* truth: dom.mcs_tail -> struct mcs_node (arena) */
	struct thread __arena *first;
	struct thread __arena *last;
	u32 nr;
};

struct thread {
	struct thread __arena *next;
	u64 dom; /* truth: thread.dom -> struct dom (arena) */
	s32 pid;
};

typedef struct dom __arena dom_t;

struct waiter __arena *waiters;
dom_t *doms[4];
u64 held_by_timer; /* truth: .bss.held_by_timer -> struct waiter (arena) */

static int clh_lock(dom_t *d, struct waiter __arena *w)
{
	clh_t *mine = w->mine, *prev;

	mine->locked = 1;
	prev = (clh_t *)__sync_lock_test_and_set(&d->clh_tail, (u64)mine);
	mine->prev = prev;
	for (u32 i = 0; i < 4096; i++)
		if (!*(volatile u64 __arena *)&prev->locked)
			return 0;
	return -EBUSY;
}

static __noinline void clh_release(struct waiter __arena *w, clh_t *mine)
{
	clh_t *prev = mine->prev;

	mine->locked = 0;
	w->mine = prev;
}

static void clh_unlock(struct waiter __arena *w)
{
	clh_release(w, w->mine);
}

static int mcs_lock(dom_t *d, mcs_t *node)
{
	mcs_t *prev;

	node->next = NULL;
	node->wait = 1;
	prev = (mcs_t *)__sync_lock_test_and_set(&d->mcs_tail, (u64)node);
	if (!prev)
		return 0;
	prev->next = node;
	for (u32 i = 0; i < 4096; i++)
		if (!*(volatile u64 __arena *)&node->wait)
			return 0;
	return -EBUSY;
}

static __noinline void mcs_unlock(dom_t *d, mcs_t *node)
{
	mcs_t *next = node->next;

	if (!next) {
		if (__sync_val_compare_and_swap(&d->mcs_tail, (u64)node, 0) == (u64)node)
			return;
		for (u32 i = 0; i < 4096 && !next; i++)
			next = *(mcs_t * volatile __arena *)&node->next;
		if (!next)
			return;
	}
	next->wait = 0;
}

static __noinline void append(dom_t *d, struct thread __arena *th)
{
	th->dom = (u64)d;
	if (d->last)
		d->last->next = th;
	else
		d->first = th;
	d->last = th;
	d->nr++;
}

SEC("struct_ops/clhlock_enqueue")
int clhlock_enqueue(u64 *ctx)
{
	struct task_struct *p = (struct task_struct *)ARG(ctx, 0);
	struct waiter __arena *w = &waiters[bpf_get_smp_processor_id() & (CPUS - 1)];
	struct thread __arena *th = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	dom_t *d = doms[p->pid & 3];

	if (!th || !d || clh_lock(d, w))
		return -EBUSY;
	w->held = (u64)d;
	th->pid = p->pid;
	append(d, th);
	clh_unlock(w);
	return 0;
}

SEC("struct_ops/clhlock_dispatch")
int clhlock_dispatch(u64 *ctx)
{
	struct waiter __arena *w = &waiters[ARG(ctx, 0) & (CPUS - 1)], *timer;
	dom_t *d = (dom_t *)w->held;
	struct thread __arena *th;

	if (!d || mcs_lock(d, (mcs_t *)&w->node))
		return 0;
	th = d->first;
	if (th) {
		d->first = th->next;
		((dom_t *)th->dom)->nr--;
	}
	timer = (struct waiter __arena *)held_by_timer;
	if (timer && timer->held == (u64)d)
		held_by_timer = (u64)w;
	mcs_unlock(d, (mcs_t *)&w->node);
	return th ? th->pid : 0;
}

SEC("syscall")
int clhlock_init(void *ctx)
{
	clh_t *nodes = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

	waiters = bpf_arena_alloc_pages(&arena, NULL, 2, -1, 0);
	if (!nodes || !waiters)
		return -ENOMEM;
	for (u32 i = 0; i < CPUS; i++)
		waiters[i].mine = &nodes[i];
	for (u32 i = 0; i < 4; i++) {
		doms[i] = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!doms[i])
			return -ENOMEM;
		doms[i]->clh_tail = (u64)&nodes[CPUS + i];
	}
	held_by_timer = (u64)&waiters[0];
	return 0;
}

SEC(".struct_ops.link")
struct test_ops clhlock_ops = {
	.enqueue = (void *)clhlock_enqueue,
	.dispatch = (void *)clhlock_dispatch,
};
