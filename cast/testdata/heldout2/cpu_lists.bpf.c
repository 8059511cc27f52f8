// SPDX-License-Identifier: GPL-2.0
/* A list of waiting tasks for each CPU, its ends in a map's value, its nodes in the arena. */
#include "../heldout/scx.h"

LICENSE();
ARENA(1024);

#define NR_CPUS 64

struct wnode {
	void __arena *succ; /* truth wnode.succ -> struct wnode (arena) */
	void __arena *pred; /* truth wnode.pred -> struct wnode (arena) */
	void __arena *list; /* may wnode.list -> struct wnode (arena) */
	u64 enq_id; /* none wnode.enq_id */
	u64 task; /* truth wnode.task -> struct task_struct (kernel) */
	s32 pid;
	s32 cpu;
};

struct cpuq {
	void __arena *head; /* truth cpuq.head -> struct wnode (arena) */
	void __arena *tail; /* truth cpuq.tail -> struct wnode (arena) */
	u64 curr; /* truth cpuq.curr -> struct task_struct (kernel) */
	u64 rq; /* truth cpuq.rq -> struct rq (kernel) */
	u64 nr;
	u64 victim; /* the map value of the CPU to steal from */ /* truth cpuq.victim -> struct cpuq (map value) */
	u64 last_cookie; /* none cpuq.last_cookie */
	struct bpf_spin_lock lock;
};

struct wait_slot {
	u64 node; /* truth wait_slot.node -> struct wnode (arena) */
};

MAP(cpuqs, BPF_MAP_TYPE_ARRAY, NR_CPUS, u32, struct cpuq);
STORAGE(wslots, BPF_MAP_TYPE_TASK_STORAGE, struct wait_slot);

u64 enq_ids; /* none .bss.enq_ids */

static __always_inline struct cpuq *cpuq_of(u32 cpu)
{
	return bpf_map_lookup_elem(&cpuqs, &cpu);
}

static __noinline void cpuq_append(struct cpuq *q, struct wnode __arena *n)
{
	struct wnode __arena *last;

	last = q->tail;
	n->pred = last;
	n->succ = NULL;
	if (last)
		last->succ = n;
	else
		q->head = n;
	q->tail = n;
	q->nr++;
}

static __noinline void cpuq_unlink(struct cpuq *q, struct wnode __arena *n)
{
	struct wnode __arena *s = n->succ, *b = n->pred;

	if (s)
		s->pred = b;
	else
		q->tail = b;
	if (b)
		b->succ = s;
	else
		q->head = s;
	q->nr--;
}

OP0(s32, init)
{
	struct cpuq *q, *other;
	u32 cpu;

	for (cpu = 0; cpu < NR_CPUS; cpu++) {
		q = cpuq_of(cpu);
		other = cpuq_of((cpu + 1) & (NR_CPUS - 1));
		if (!q || !other)
			return -2;
		q->victim = (u64)other;
		q->rq = (u64)scx_bpf_cpu_rq(cpu);
	}
	return 0;
}

OP2(s32, init_task, struct task_struct *, p, struct scx_init_task_args *, args)
{
	struct wait_slot *w = bpf_task_storage_get(&wslots, p, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	struct wnode __arena *n;

	if (!w)
		return -12;
	n = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!n)
		return -12;
	n->pid = p->pid;
	n->task = (u64)p;
	w->node = (u64)n;
	return 0;
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	struct wait_slot *w = bpf_task_storage_get(&wslots, p, NULL, 0);
	struct wnode __arena *n;
	struct cpuq *q;

	if (!w || !w->node)
		return;
	n = (struct wnode __arena *)w->node;
	n->cpu = scx_bpf_task_cpu(p);
	n->enq_id = __sync_fetch_and_add(&enq_ids, 1);
	q = cpuq_of(n->cpu);
	if (!q)
		return;
	bpf_spin_lock(&q->lock);
	cpuq_append(q, n);
	bpf_spin_unlock(&q->lock);
}

static __noinline s32 steal_from(u64 victim)
{
	struct cpuq copy;
	struct wnode __arena *n;

	if (bpf_probe_read_kernel(&copy, sizeof(copy), (void *)victim))
		return -14;
	n = copy.head;
	return n ? n->pid : -2;
}

OP2(void, dispatch, s32, cpu, struct task_struct *, prev)
{
	struct cpuq *q = cpuq_of(cpu);
	struct wnode __arena *n;
	struct task_struct *p;
	s32 pid;

	if (!q)
		return;
	bpf_spin_lock(&q->lock);
	n = q->head;
	if (n)
		cpuq_unlink(q, n);
	bpf_spin_unlock(&q->lock);
	pid = n ? n->pid : steal_from(q->victim);
	p = bpf_task_from_pid(pid);
	if (!p)
		return;
	scx_bpf_dsq_insert(p, SCX_DSQ_GLOBAL, SCX_SLICE_DFL, 0);
	bpf_task_release(p);
}

OP1(void, running, struct task_struct *, p)
{
	struct cpuq *q = cpuq_of(bpf_get_smp_processor_id());
	struct rq rq;

	if (!q)
		return;
	q->curr = (u64)p;
	q->last_cookie = p->start_time ^ (u64)p->pid << 20;
	if (q->rq && !bpf_probe_read_kernel(&rq, sizeof(rq), (void *)q->rq) && rq.nr_running > q->nr)
		q->last_cookie++;
}

OP2(void, exit_task, struct task_struct *, p, struct scx_exit_task_args *, args)
{
	struct wait_slot *w = bpf_task_storage_get(&wslots, p, NULL, 0);
	struct wnode __arena *n, *list;

	if (!w || !w->node)
		return;
	n = (struct wnode __arena *)w->node;
	list = n->list;
	if (list && list->task != (u64)p)
		list->cpu = -1;
	w->node = 0;
	bpf_arena_free_pages(&arena, n, 1);
}

OPS(DO(init), DO(init_task), DO(enqueue), DO(dispatch), DO(running), DO(exit_task), .name = "cpu_lists");
