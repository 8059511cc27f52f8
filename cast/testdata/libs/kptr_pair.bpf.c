/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Masks and a task that change places: a published one, a spare one, and what
 * was shown last. Slots are kptrs; the integers beside them remember addresses.
 */
#include "../heldout/scx.h"

struct pair {
	struct bpf_cpumask __kptr *shown;
	struct bpf_cpumask __kptr *spare;
	u64 lately;	/* truth pair.lately -> struct bpf_cpumask (kernel) */
	u64 from;	/* truth pair.from -> struct cpumask (kernel) */
	u64 turns;
};
MAP(pairs, BPF_MAP_TYPE_ARRAY, 8, u32, struct pair);

struct seat {
	struct task_struct __kptr *sitter;
	u64 seen;	/* truth seat.seen -> struct task_struct (kernel) */
	u64 curr;	/* truth seat.curr -> struct task_struct (kernel) */
	u64 rq;		/* truth seat.rq -> struct rq (kernel) */
	u64 pair;	/* truth seat.pair -> struct pair (map value) */
};
MAP(seats, BPF_MAP_TYPE_ARRAY, 64, u32, struct seat);

static __noinline int turn(struct pair *v, const struct cpumask *allowed)
{
	struct bpf_cpumask *mask, *old;

	mask = bpf_kptr_xchg(&v->spare, NULL);
	if (!mask) {
		mask = bpf_cpumask_create();
		if (!mask)
			return -12;
	}
	if (allowed)
		bpf_cpumask_copy(mask, allowed);
	v->from = (u64)allowed;
	v->lately = (u64)mask;
	old = bpf_kptr_xchg(&v->shown, mask);
	if (old) {
		old = bpf_kptr_xchg(&v->spare, old);
		if (old)
			bpf_cpumask_release(old);
	}
	v->turns++;
	return 0;
}

OP2(void, set_cpumask, struct task_struct *, p, const struct cpumask *, cpumask)
{
	u32 i = p->pid & 7;
	struct pair *v = bpf_map_lookup_elem(&pairs, &i);

	if (v)
		turn(v, cpumask);
}

OP1(void, running, struct task_struct *, p)
{
	u32 cpu = bpf_get_smp_processor_id() & 63, i = cpu & 7;
	struct seat *s = bpf_map_lookup_elem(&seats, &cpu);
	struct pair *v = bpf_map_lookup_elem(&pairs, &i);
	struct task_struct *old;
	struct rq *rq;

	if (!s || !v)
		return;
	s->pair = (u64)v;
	rq = scx_bpf_cpu_rq(cpu);
	s->rq = (u64)rq;
	s->curr = (u64)rq->curr;
	s->seen = (u64)p;
	old = bpf_kptr_xchg(&s->sitter, bpf_task_acquire(p));
	if (old)
		bpf_task_release(old);
}

OP2(void, dispatch, s32, cpu, struct task_struct *, prev)
{
	u32 i = cpu & 63;
	struct seat *s = bpf_map_lookup_elem(&seats, &i);

	if (!s || !s->pair)
		return;
	if (s->seen == (u64)prev && s->curr != s->seen)
		scx_bpf_kick_cpu(cpu, 0);
}

OPS(DO(set_cpumask), DO(running), DO(dispatch), .name = "kptr_pair");
LICENSE();
