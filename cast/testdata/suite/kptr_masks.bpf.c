// SPDX-License-Identifier: GPL-2.0
/* Masks of CPUs that are exchanged between members, so that a new one is filled
 * aside and then put in place. */
#include "suite.h"

struct layer {
	u64 id;
	struct bpf_cpumask __kptr *cpus;
	struct bpf_cpumask __kptr *spare;
};

struct task_masks {
	struct bpf_cpumask __kptr *allowed;
	struct bpf_cpumask __kptr *preferred;
	struct bpf_cpumask __kptr *scratch;
	u64 generation;
};

struct {
	__uint(type, ARRAY);
	__uint(max_entries, 8);
	__type(key, u32);
	__type(value, struct layer);
} layers SEC(".maps");

TASK_MAP(task_masks, struct task_masks);

struct wrapper {
	struct bpf_cpumask __kptr *mask;
};
struct wrapper all;

static __noinline int refill(struct layer *layer, u32 cpu)
{
	struct bpf_cpumask *mask = bpf_kptr_xchg(&layer->spare, NULL);

	if (!mask)
		return -1;
	bpf_cpumask_set_cpu(cpu, mask);
	mask = bpf_kptr_xchg(&layer->cpus, mask);
	if (!mask)
		return 0;
	mask = bpf_kptr_xchg(&layer->spare, mask);
	if (mask)
		bpf_cpumask_release(mask);
	return 0;
}

SEC("struct_ops/init_task")
int init_task(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct task_masks *t = bpf_task_storage_get(&task_masks, p, NULL, 1);
	struct bpf_cpumask *mask;
	u32 key = p->pid & 7;
	struct layer *layer = bpf_map_lookup_elem(&layers, &key);

	if (!t || !layer)
		return 1;
	mask = bpf_cpumask_create();
	if (!mask)
		return 1;
	mask = bpf_kptr_xchg(&t->scratch, mask);
	if (mask)
		bpf_cpumask_release(mask);
	mask = bpf_cpumask_create();
	if (!mask)
		return 1;
	mask = bpf_kptr_xchg(&layer->spare, mask);
	if (mask)
		bpf_cpumask_release(mask);
	refill(layer, key);
	mask = bpf_cpumask_create();
	if (!mask)
		return 1;
	mask = bpf_kptr_xchg(&all.mask, mask);
	if (mask)
		bpf_cpumask_release(mask);
	return 0;
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct task_masks *t = bpf_task_storage_get(&task_masks, p, NULL, 0);
	struct bpf_cpumask *mask;

	if (!t)
		return;
	mask = bpf_kptr_xchg(&t->scratch, NULL);
	if (!mask)
		return;
	mask = bpf_kptr_xchg(&t->allowed, mask);
	if (!mask)
		return;
	mask = bpf_kptr_xchg(&t->preferred, mask);
	if (!mask)
		return;
	mask = bpf_kptr_xchg(&t->scratch, mask);
	if (mask)
		bpf_cpumask_release(mask);
	t->generation++;
}

SCHED(.init_task = (void *)init_task, .enqueue = (void *)enqueue);
