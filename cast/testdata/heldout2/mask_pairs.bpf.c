// SPDX-License-Identifier: GPL-2.0
/*
 * Each layer has the CPU mask in use and a spare one. A new mask is built in the
 * spare; the two change places by kptr exchange.
 */
#include "../heldout/scx.h"

LICENSE();
ARENA(64);

#define NR_LAYERS 16

struct layer_masks {
	void *live; /* truth layer_masks.live -> struct bpf_cpumask | struct cpumask (kernel) */
	void *spare; /* truth layer_masks.spare -> struct bpf_cpumask | struct cpumask (kernel) */
	u64 gen; /* none layer_masks.gen */
	u64 layer; /* truth layer_masks.layer -> struct layer (arena) */
};

struct layer {
	u64 weight;
	u64 cpus_lo; /* none layer.cpus_lo */
	u64 below; /* truth layer.below -> struct layer (arena) */
	u64 biggest; /* truth layer.biggest -> struct task_struct (kernel) */
	u32 id;
};

struct tmask {
	void *and; /* truth tmask.and -> struct bpf_cpumask | struct cpumask (kernel) */
	u64 seen_gen; /* none tmask.seen_gen */
	u32 layer;
};

MAP(masks, BPF_MAP_TYPE_ARRAY, NR_LAYERS, u32, struct layer_masks);
STORAGE(tmasks, BPF_MAP_TYPE_TASK_STORAGE, struct tmask);

struct layer __arena *layers;

static __noinline int masks_create(u32 id)
{
	struct layer_masks *m = bpf_map_lookup_elem(&masks, &id);
	struct bpf_cpumask *mask;

	if (!m)
		return -2;
	mask = bpf_cpumask_create();
	if (!mask)
		return -12;
	mask = bpf_kptr_xchg(&m->live, mask);
	if (mask)
		bpf_cpumask_release(mask);
	mask = bpf_cpumask_create();
	if (!mask)
		return -12;
	mask = bpf_kptr_xchg(&m->spare, mask);
	if (mask)
		bpf_cpumask_release(mask);
	m->layer = (u64)&layers[id & (NR_LAYERS - 1)];
	return 0;
}

static __noinline int masks_flip(struct layer_masks *m, u32 cpu)
{
	struct bpf_cpumask *next, *old;

	next = bpf_kptr_xchg(&m->spare, NULL);
	if (!next)
		return -16;
	bpf_cpumask_set_cpu(cpu, next);
	old = bpf_kptr_xchg(&m->live, next);
	if (!old)
		goto out;
	old = bpf_kptr_xchg(&m->spare, old);
	if (old)
		bpf_cpumask_release(old);
out:
	m->gen++;
	return 0;
}

OP0(s32, init)
{
	u32 i;
	int err = 0;

	layers = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!layers)
		return -12;
	for (i = 0; i < NR_LAYERS && !err; i++) {
		layers[i].id = i;
		layers[i].cpus_lo = 1ULL << i;
		if (i)
			layers[i].below = (u64)&layers[i - 1];
		err = masks_create(i);
	}
	return err;
}

OP2(s32, init_task, struct task_struct *, p, struct scx_init_task_args *, args)
{
	struct tmask *t = bpf_task_storage_get(&tmasks, p, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	struct bpf_cpumask *mask;

	if (!t)
		return -12;
	mask = bpf_cpumask_create();
	if (!mask)
		return -12;
	t->layer = p->pid & (NR_LAYERS - 1);
	mask = bpf_kptr_xchg(&t->and, mask);
	if (mask)
		bpf_cpumask_release(mask);
	return 0;
}

OP3(s32, select_cpu, struct task_struct *, p, s32, prev_cpu, u64, wake_flags)
{
	struct tmask *t = bpf_task_storage_get(&tmasks, p, NULL, 0);
	struct layer_masks *m;
	struct bpf_cpumask *mine, *live;
	struct layer __arena *l;
	s32 cpu = prev_cpu;
	u32 id;

	if (!t)
		return prev_cpu;
	id = t->layer;
	m = bpf_map_lookup_elem(&masks, &id);
	if (!m)
		return prev_cpu;
	l = (struct layer __arena *)m->layer;
	if (!l->cpus_lo && l->below)
		((struct layer __arena *)l->below)->weight++;
	bpf_rcu_read_lock();
	mine = t->and;
	live = m->live;
	if (mine && live) {
		if (t->seen_gen != m->gen) {
			bpf_cpumask_and(mine, &live->cpumask, p->cpus_ptr);
			t->seen_gen = m->gen;
		}
		cpu = scx_bpf_pick_idle_cpu(&mine->cpumask, 0);
	}
	bpf_rcu_read_unlock();
	return cpu < 0 ? prev_cpu : cpu;
}

OP1(void, tick, struct task_struct *, p)
{
	struct tmask *t = bpf_task_storage_get(&tmasks, p, NULL, 0);
	struct layer_masks *m;
	struct layer __arena *l;
	u32 id;

	if (!t)
		return;
	id = t->layer;
	m = bpf_map_lookup_elem(&masks, &id);
	if (!m || !m->layer)
		return;
	l = (struct layer __arena *)m->layer;
	if (p->scx.weight > l->weight) {
		l->weight = p->scx.weight;
		l->biggest = (u64)p;
		masks_flip(m, bpf_get_smp_processor_id());
	}
}

OPS(DO(init), DO(init_task), DO(select_cpu), DO(tick), .name = "mask_pairs");
