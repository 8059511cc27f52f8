// SPDX-License-Identifier: GPL-2.0
/* Queue locks: CLH for a domain's list, MCS for the balancer; nodes of the CPUs in the arena. */
#include "../heldout/scx.h"

LICENSE();
ARENA(256);

struct clh_node {
	u32 busy;
	u32 cpu;
};
DESCRIBE(clh_node);

struct clh_lock {
	u64 tail; /* truth clh_lock.tail -> struct clh_node (arena) */
	u64 contended;
};

struct mcs_node {
	u64 behind; /* truth mcs_node.behind -> struct mcs_node (arena) */
	u32 go;
};

struct cpu_locks {
	u64 mine; /* truth cpu_locks.mine -> struct clh_node (arena) */
	u64 ahead; /* truth cpu_locks.ahead -> struct clh_node (arena) */
	u64 waits; /* none cpu_locks.waits */
	struct mcs_node mcs[2];
};

struct dom {
	struct clh_lock lock;
	u64 waiting; /* truth dom.waiting -> struct dtask (arena) */
	u64 id; /* none dom.id */
	u64 nr;
};

struct dtask {
	u64 next; /* truth dtask.next -> struct dtask (arena) */
	u64 dom; /* truth dtask.dom -> struct dom (arena) */
	s32 pid;
};
DESCRIBE(dtask);

struct balancer {
	u64 queue; /* truth balancer.queue -> struct mcs_node (arena) */
	u64 from; /* truth balancer.from -> struct dom (arena) */
	u64 epoch; /* none balancer.epoch */
};

struct dtask_val {
	u64 t; /* truth dtask_val.t -> struct dtask (arena) */
};

STORAGE(dtasks, BPF_MAP_TYPE_TASK_STORAGE, struct dtask_val);

struct balancer balancer;
struct dom __arena *doms;
struct cpu_locks __arena *cpus;

static __noinline int clh_acquire(struct clh_lock __arena *l, struct cpu_locks __arena *me)
{
	struct clh_node __arena *n = (struct clh_node __arena *)me->mine, *ahead;

	if (!n)
		return -22;
	WRITE_ONCE(n->busy, 1);
	ahead = (struct clh_node __arena *)xchg(&l->tail, (u64)n);
	me->ahead = (u64)ahead;
	if (!ahead)
		return 0;
	while (READ_ONCE(ahead->busy)) {
		me->waits++;
		if (!can_loop())
			return -110;
	}
	return 0;
}

static __noinline void clh_release(struct clh_lock __arena *l, struct cpu_locks __arena *me)
{
	struct clh_node __arena *n = (struct clh_node __arena *)me->mine;

	if (!n)
		return;
	if (me->ahead)
		me->mine = me->ahead;
	else
		l->contended++;
	WRITE_ONCE(n->busy, 0);
}

static __noinline int mcs_acquire(u64 *tail, struct mcs_node __arena *n)
{
	struct mcs_node __arena *before;

	n->behind = 0;
	n->go = 0;
	before = (struct mcs_node __arena *)xchg(tail, (u64)n);
	if (!before)
		return 0;
	WRITE_ONCE(before->behind, (u64)n);
	while (!READ_ONCE(n->go))
		if (!can_loop())
			return -110;
	return 0;
}

static __noinline int mcs_release(u64 *tail, struct mcs_node __arena *n)
{
	u64 behind = READ_ONCE(n->behind);

	if (!behind) {
		if (cmpxchg(tail, (u64)n, 0) == (u64)n)
			return 0;
		while (!(behind = READ_ONCE(n->behind)))
			if (!can_loop())
				return -110;
	}
	((struct mcs_node __arena *)behind)->go = 1;
	return 0;
}

OP0(s32, init)
{
	struct clh_node __arena *nodes;
	u32 i;

	doms = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	cpus = bpf_arena_alloc_pages(&arena, NULL, 2, -1, 0);
	nodes = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!doms || !cpus || !nodes)
		return -12;
	for (i = 0; i < 64; i++) {
		nodes[i].cpu = i;
		cpus[i].mine = (u64)&nodes[i];
	}
	for (i = 0; i < 16; i++)
		doms[i].id = i << 8;
	return 0;
}

OP2(s32, init_task, struct task_struct *, p, struct scx_init_task_args *, args)
{
	struct dtask_val *v = bpf_task_storage_get(&dtasks, p, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	struct dtask __arena *t;

	if (!v || !doms)
		return -12;
	t = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!t)
		return -12;
	t->pid = p->pid;
	t->dom = (u64)&doms[p->pid & 15];
	v->t = (u64)t;
	return 0;
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	struct dtask_val *v = bpf_task_storage_get(&dtasks, p, NULL, 0);
	struct cpu_locks __arena *me = &cpus[bpf_get_smp_processor_id() & 63];
	struct dtask __arena *t;
	struct dom __arena *d;

	if (!v || !v->t)
		return;
	t = (struct dtask __arena *)v->t;
	d = (struct dom __arena *)t->dom;
	if (clh_acquire(&d->lock, me))
		return;
	t->next = d->waiting;
	d->waiting = (u64)t;
	d->nr++;
	clh_release(&d->lock, me);
}

OP2(void, dispatch, s32, cpu, struct task_struct *, prev)
{
	struct cpu_locks __arena *me = &cpus[cpu & 63];
	struct dom __arena *d = &doms[cpu & 15], *from;
	struct dtask __arena *t = NULL;
	struct task_struct *p;

	if (mcs_acquire(&balancer.queue, &me->mcs[0]))
		return;
	from = (struct dom __arena *)balancer.from;
	if (from && from->nr > d->nr)
		d = from;
	balancer.from = (u64)d;
	balancer.epoch++;
	mcs_release(&balancer.queue, &me->mcs[0]);

	if (clh_acquire(&d->lock, me))
		return;
	t = (struct dtask __arena *)d->waiting;
	if (t) {
		d->waiting = t->next;
		d->nr--;
	}
	clh_release(&d->lock, me);
	if (!t)
		return;
	p = bpf_task_from_pid(t->pid);
	if (!p)
		return;
	scx_bpf_dsq_insert(p, SCX_DSQ_GLOBAL, SCX_SLICE_DFL, 0);
	bpf_task_release(p);
}

OPS(DO(init), DO(init_task), DO(enqueue), DO(dispatch), .name = "clh_domains");
