// SPDX-License-Identifier: GPL-2.0
/* CPU masks of the kernel's, held by exchange in two members that are swapped;
 * their addresses are kept in integers, too, for whoever compares them. */
#include "scx.h"

LICENSE();

struct dom_masks {
	struct bpf_cpumask __kptr *active;
	struct bpf_cpumask __kptr *spare;
	u64 active_addr; /* truth dom_masks.active_addr -> struct bpf_cpumask | struct cpumask (kernel) */
	u64 version; /* none dom_masks.version */
};

struct task_masks {
	struct bpf_cpumask __kptr *allowed;
	u64 orig; /* truth task_masks.orig -> struct cpumask (kernel) */
	u64 checksum; /* none task_masks.checksum */
};

MAP(doms, BPF_MAP_TYPE_ARRAY, 8, u32, struct dom_masks);
STORAGE(tasks, BPF_MAP_TYPE_TASK_STORAGE, struct task_masks);

struct bpf_cpumask __kptr *all_cpus;

static __noinline int publish(struct dom_masks *d)
{
	struct bpf_cpumask *new, *old;

	new = bpf_kptr_xchg(&d->spare, NULL);
	if (!new)
		return -2;
	d->active_addr = (u64)new;
	old = bpf_kptr_xchg(&d->active, new);
	d->version++;
	if (!old)
		return 0;
	old = bpf_kptr_xchg(&d->spare, old);
	if (old)
		bpf_cpumask_release(old);
	return 0;
}

OP0(s32, init)
{
	struct bpf_cpumask *mask;
	struct dom_masks *d;
	u32 i;

	for (i = 0; i < 8; i++) {
		d = bpf_map_lookup_elem(&doms, &i);
		if (!d)
			return -2;
		mask = bpf_cpumask_create();
		if (!mask)
			return -12;
		bpf_cpumask_set_cpu(i, mask);
		mask = bpf_kptr_xchg(&d->spare, mask);
		if (mask)
			bpf_cpumask_release(mask);
		publish(d);
	}
	mask = bpf_cpumask_create();
	if (!mask)
		return -12;
	mask = bpf_kptr_xchg(&all_cpus, mask);
	if (mask)
		bpf_cpumask_release(mask);
	return 0;
}

OP2(s32, init_task, struct task_struct *, p, struct scx_init_task_args *, args)
{
	struct task_masks *m = bpf_task_storage_get(&tasks, p, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	struct bpf_cpumask *mask;

	if (!m)
		return -12;
	mask = bpf_cpumask_create();
	if (!mask)
		return -12;
	bpf_cpumask_copy(mask, p->cpus_ptr);
	m->orig = (u64)p->cpus_ptr;
	m->checksum = p->cpus_ptr->bits[0] * 31 + p->cpus_ptr->bits[1];
	mask = bpf_kptr_xchg(&m->allowed, mask);
	if (mask)
		bpf_cpumask_release(mask);
	return 0;
}

OP3(s32, select_cpu, struct task_struct *, p, s32, prev_cpu, u64, wake_flags)
{
	struct task_masks *m = bpf_task_storage_get(&tasks, p, NULL, 0);
	u32 dom = prev_cpu & 7;
	struct dom_masks *d = bpf_map_lookup_elem(&doms, &dom);
	struct bpf_cpumask *mask, *allowed;
	s32 cpu = prev_cpu;

	if (!m || !d)
		return prev_cpu;
	bpf_rcu_read_lock();
	mask = d->active;
	allowed = m->allowed;
	if (mask && allowed && bpf_cpumask_intersects(&mask->cpumask, &allowed->cpumask)) {
		cpu = scx_bpf_pick_idle_cpu(&mask->cpumask, 0);
		if (cpu < 0)
			cpu = prev_cpu;
	}
	bpf_rcu_read_unlock();
	return cpu;
}

OPS(DO(init), DO(init_task), DO(select_cpu), .name = "mask_swap");
