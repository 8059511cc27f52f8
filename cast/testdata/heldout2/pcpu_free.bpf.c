// SPDX-License-Identifier: GPL-2.0
/*
 * Objects of two sizes by per-CPU free lists in a map. What another CPU frees is
 * pushed by cmpxchg on the owner's remote list, which the owner takes as a whole.
 */
#include "../heldout/scx.h"

LICENSE();
ARENA(4096);

#define MAGIC 0xdead4ead00000000ULL

struct fobj {
	u64 next; /* truth fobj.next -> struct fobj (arena) */
	u64 magic; /* none fobj.magic */
};
DESCRIBE(fobj);

struct fcache {
	u64 local; /* truth fcache.local -> struct fobj (arena) */
	u64 nr_local;
	u64 obj_size; /* none fcache.obj_size */
	u64 remote; /* truth fcache.remote -> struct remote_list (arena) */
};

struct remote_list {
	u64 top; /* truth remote_list.top -> struct fobj (arena) */
	u64 pad[7];
};

struct pcpu {
	struct fcache small, big;
	u64 cpu; /* none pcpu.cpu */
};

struct wake_stat {
	u64 waker; /* truth wake_stat.waker -> struct ptask (arena) */
	u64 freq;
	u64 avg; /* none wake_stat.avg */
	u64 at;
};
DESCRIBE(wake_stat);

struct ptask {
	u64 wake; /* truth ptask.wake -> struct wake_stat (arena) */
	u64 home; /* truth ptask.home -> struct remote_list (arena) */
	u64 wake_home; /* truth ptask.wake_home -> struct remote_list (arena) */
	u64 affinity; /* none ptask.affinity */
	u64 slack[12];
};
DESCRIBE(ptask);

struct ptask_slot {
	u64 ptask; /* truth ptask_slot.ptask -> struct ptask (arena) */
};

MAP(pcpus, BPF_MAP_TYPE_PERCPU_ARRAY, 1, u32, struct pcpu);
STORAGE(ptasks, BPF_MAP_TYPE_TASK_STORAGE, struct ptask_slot);

static __noinline int refill(struct fcache *c)
{
	u64 mem, at;

	if (c->obj_size < sizeof(struct fobj))
		return -22;
	mem = (u64)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!mem)
		return -12;
	for (at = mem; at + c->obj_size <= mem + 4096 && can_loop(); at += c->obj_size) {
		struct fobj __arena *o = (struct fobj __arena *)at;

		o->magic = MAGIC | c->nr_local;
		o->next = c->local;
		c->local = (u64)o;
		c->nr_local++;
	}
	return 0;
}

static __noinline void take_remote(struct fcache *c)
{
	struct remote_list __arena *r = (struct remote_list __arena *)c->remote;
	struct fobj __arena *o, *next;

	if (!r)
		return;
	o = (struct fobj __arena *)xchg(&r->top, 0);
	for (; o && can_loop(); o = next) {
		next = (struct fobj __arena *)o->next;
		o->next = c->local;
		c->local = (u64)o;
		c->nr_local++;
	}
}

static __noinline void __arena *fcache_alloc(struct fcache *c)
{
	struct fobj __arena *o;

	if (!c->local)
		take_remote(c);
	if (!c->local && refill(c))
		return NULL;
	o = (struct fobj __arena *)c->local;
	if (!o)
		return NULL;
	c->local = o->next;
	c->nr_local--;
	o->next = 0;
	o->magic = 0;
	return o;
}

static __noinline void remote_free(struct remote_list __arena *r, void __arena *obj)
{
	struct fobj __arena *o = obj;
	u64 top;

	while (can_loop()) {
		top = READ_ONCE(r->top);
		o->next = top;
		if (cmpxchg(&r->top, top, (u64)o) == top)
			return;
	}
}

static __always_inline struct pcpu *this_pcpu(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&pcpus, &zero);
}

OP0(s32, init)
{
	struct pcpu *pc;
	u32 zero = 0;
	int cpu;

	for (cpu = 0; cpu < 64; cpu++) {
		pc = bpf_map_lookup_percpu_elem(&pcpus, &zero, cpu);
		if (!pc)
			break;
		pc->cpu = cpu;
		pc->small.obj_size = sizeof(struct wake_stat);
		pc->big.obj_size = sizeof(struct ptask);
		pc->small.remote = (u64)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		pc->big.remote = (u64)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	}
	return 0;
}

OP2(s32, init_task, struct task_struct *, p, struct scx_init_task_args *, args)
{
	struct ptask_slot *slot = bpf_task_storage_get(&ptasks, p, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	struct pcpu *pc = this_pcpu();
	struct ptask __arena *t;

	if (!slot || !pc)
		return -12;
	t = fcache_alloc(&pc->big);
	if (!t)
		return -12;
	t->home = pc->big.remote;
	t->affinity = p->cpus_ptr->bits[0];
	t->wake = (u64)fcache_alloc(&pc->small);
	t->wake_home = pc->small.remote;
	slot->ptask = (u64)t;
	return 0;
}

OP2(void, runnable, struct task_struct *, p, u64, flags)
{
	struct task_struct *me = bpf_get_current_task_btf();
	struct ptask_slot *wakee = bpf_task_storage_get(&ptasks, p, NULL, 0);
	struct ptask_slot *waker = bpf_task_storage_get(&ptasks, me, NULL, 0);
	struct wake_stat __arena *w;
	struct ptask __arena *t, *before;

	if (!wakee || !waker || !wakee->ptask)
		return;
	t = (struct ptask __arena *)wakee->ptask;
	w = (struct wake_stat __arena *)t->wake;
	if (!w)
		return;
	before = (struct ptask __arena *)w->waker;
	if (before && before->affinity == t->affinity)
		w->freq++;
	w->waker = waker->ptask;
	w->avg = (w->avg + bpf_ktime_get_ns() - w->at) / 2;
	w->at = bpf_ktime_get_ns();
}

OP2(void, exit_task, struct task_struct *, p, struct scx_exit_task_args *, args)
{
	struct ptask_slot *slot = bpf_task_storage_get(&ptasks, p, NULL, 0);
	struct ptask __arena *t;

	if (!slot || !slot->ptask)
		return;
	t = (struct ptask __arena *)slot->ptask;
	slot->ptask = 0;
	if (t->wake && t->wake_home)
		remote_free((struct remote_list __arena *)t->wake_home, (void __arena *)t->wake);
	if (t->home)
		remote_free((struct remote_list __arena *)t->home, t);
}

OPS(DO(init), DO(init_task), DO(runnable), DO(exit_task), .name = "pcpu_free");
