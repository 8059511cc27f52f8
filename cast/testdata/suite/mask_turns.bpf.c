// SPDX-License-Identifier: GPL-2.0
/* CPU masks that take turns: what is wanted is made beside what holds, and exchanged
 * with it; tasks and cgroups are kept by kptrs, and by number. */
#include "suite.h"

struct turn {
	struct bpf_cpumask __kptr *now;
	struct bpf_cpumask __kptr *wanted;
	struct bpf_cpumask __kptr *scratch;
	u64 epoch; /* truth: turn.epoch number */
	u64 stale; /* truth: turn.stale number */
};
struct part {
	struct bpf_cpumask __kptr *cpus;
	struct task_struct __kptr *donor;
	struct cgroup __kptr *group;
	u64 leader; /* truth: part.leader -> struct task_struct (kernel) */
	u64 weight; /* truth: part.weight number */
};
SINGLE(turns, struct turn);
struct {
	__uint(type, HASH);
	__uint(max_entries, 64);
	__type(key, u64);
	__type(value, struct part);
} parts SEC(".maps");
struct bpf_cpumask __kptr *everyone;
struct who {
	u64 last; /* truth: who.last -> struct task_struct (kernel) */
	u64 cgrp; /* truth: who.cgrp -> struct cgroup (kernel) */
	u64 when; /* truth: who.when number */
};
TASK_MAP(whos, struct who);

static __noinline int turn_over(struct turn *t)
{
	struct bpf_cpumask *next, *old;

	if (!t)
		return -1;
	next = bpf_kptr_xchg(&t->wanted, NULL);
	if (!next)
		return 0;
	old = bpf_kptr_xchg(&t->now, next);
	if (!old)
		return 0;
	old = bpf_kptr_xchg(&t->scratch, old);
	if (old)
		bpf_cpumask_release(old);
	t->epoch++;
	return 1;
}

static __noinline int mask_renew(struct turn *t, u32 cpu)
{
	struct bpf_cpumask *m;

	if (!t)
		return -1;
	m = bpf_kptr_xchg(&t->scratch, NULL);
	if (!m)
		m = bpf_cpumask_create();
	if (!m)
		return -12;
	bpf_cpumask_set_cpu(cpu, m);
	m = bpf_kptr_xchg(&t->wanted, m);
	if (m) {
		t->stale++;
		bpf_cpumask_release(m);
	}
	return 0;
}

SEC("struct_ops/init_task")
int init_task(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct cgroup *cgrp = (void *)ARG(ctx, 1);
	struct who *w = bpf_task_storage_get(&whos, p, NULL, 1);
	struct bpf_cpumask *m = bpf_cpumask_create();
	struct part zero = {}, *part;
	u64 key = p->pid;

	if (!m || !w)
		return -12;
	w->cgrp = (u64)cgrp;
	m = bpf_kptr_xchg(&everyone, m);
	if (m)
		bpf_cpumask_release(m);
	bpf_map_update_elem(&parts, &key, &zero, 0);
	part = bpf_map_lookup_elem(&parts, &key);
	if (!part)
		return -12;
	part->leader = (u64)p;
	cgrp = bpf_cgroup_from_id(key);
	if (cgrp) {
		cgrp = bpf_kptr_xchg(&part->group, cgrp);
		if (cgrp)
			bpf_cgroup_release(cgrp);
	}
	return 0;
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0), *old;
	struct turn *t = LOOKUP(turns);
	struct who *w = bpf_task_storage_get(&whos, p, NULL, 0);
	struct part *part;
	struct bpf_cpumask *m;
	u64 key = p->pid;

	if (!t || !w)
		return;
	mask_renew(t, bpf_get_smp_processor_id());
	turn_over(t);
	w->last = (u64)bpf_get_current_task_btf();
	w->when = bpf_ktime_get_ns();
	part = bpf_map_lookup_elem(&parts, &key);
	if (!part)
		return;
	part->weight++;
	old = bpf_kptr_xchg(&part->donor, bpf_task_acquire(p));
	if (old)
		bpf_task_release(old);
	m = bpf_kptr_xchg(&part->cpus, NULL);
	if (m)
		m = bpf_kptr_xchg(&t->scratch, m);
	if (m)
		bpf_cpumask_release(m);
}
SCHED(.init_task = (void *)init_task, .enqueue = (void *)enqueue);
