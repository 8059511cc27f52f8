// SPDX-License-Identifier: GPL-2.0
/* A scheduler that keeps kernel objects in its maps, as those of sched_ext do:
 * cpumasks per task, layer and node, contexts found through local storage and
 * per-CPU arrays. Its pointers have types, for the ruler to hide. */
#include "../cast.h"

#define __kptr __attribute__((btf_type_tag("kptr")))
#define MAX_LAYERS 16
#define MAX_NODES 8

struct cpumask {
	u64 bits[128];
} __core;

struct bpf_cpumask {
	struct cpumask cpumask;
	u32 usage;
} __core;

extern struct bpf_cpumask *bpf_cpumask_create(void) __ksym;
extern void bpf_cpumask_release(struct bpf_cpumask *cpumask) __ksym;
extern void bpf_cpumask_set_cpu(u32 cpu, struct bpf_cpumask *cpumask) __ksym;
extern _Bool bpf_cpumask_test_cpu(u32 cpu, const struct cpumask *cpumask) __ksym;
extern void bpf_cpumask_and(struct bpf_cpumask *dst, const struct cpumask *a, const struct cpumask *b) __ksym;
extern const struct cpumask *scx_bpf_get_idle_cpumask(void) __ksym;
extern void scx_bpf_put_cpumask(const struct cpumask *mask) __ksym;
extern s32 scx_bpf_pick_idle_cpu(const struct cpumask *mask, u64 flags) __ksym;
extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym;
extern void bpf_task_release(struct task_struct *p) __ksym;
extern struct task_struct *bpf_task_from_pid(s32 pid) __ksym;
extern void bpf_cgroup_release(struct cgroup *cgrp) __ksym;

static void *(*bpf_kptr_xchg)(void *slot, void *ptr) = (void *)194;
static void *(*bpf_map_lookup_percpu_elem)(void *map, const void *key, u32 cpu) = (void *)195;
static void *(*bpf_cgrp_storage_get)(void *map, struct cgroup *cgrp, void *value, u64 flags) = (void *)210;

struct cached_mask {
	s64 id;
	u64 seq;
	struct bpf_cpumask __kptr *mask;
};

struct task_ctx {
	s32 last_cpu;
	u32 layer;
	struct cached_mask layered;
	struct cached_mask node;
	struct bpf_cpumask __kptr *preferred;
	u64 runtime;
};

struct mask_wrapper {
	struct bpf_cpumask __kptr *cpumask;
};

struct cgrp_ctx {
	u64 weight;
	struct cgroup __kptr *parent;
	struct task_struct __kptr *leader;
};

struct cpu_ctx {
	s32 cpu;
	u32 flags;
	u64 used[MAX_LAYERS];
	struct task_ctx *running;
	struct llc_ctx *llc;
};

struct llc_ctx {
	u32 id;
	u32 nr_cpus;
	u64 load;
	struct bpf_cpumask __kptr *cpumask;
};

struct layer {
	u32 id;
	u32 weight;
	char name[32];
};

struct {
	__uint(type, TASK_STORAGE);
	__uint(map_flags, 1);
	__type(key, s32);
	__type(value, struct task_ctx);
} task_ctxs SEC(".maps");

struct {
	__uint(type, CGRP_STORAGE);
	__uint(map_flags, 1);
	__type(key, s32);
	__type(value, struct cgrp_ctx);
} cgrp_ctxs SEC(".maps");

struct {
	__uint(type, PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct cpu_ctx);
} cpu_ctxs SEC(".maps");

struct {
	__uint(type, ARRAY);
	__uint(max_entries, MAX_LAYERS);
	__type(key, u32);
	__type(value, struct mask_wrapper);
} layer_masks SEC(".maps");

struct {
	__uint(type, ARRAY);
	__uint(max_entries, MAX_NODES);
	__type(key, u32);
	__type(value, struct llc_ctx);
} llcs SEC(".maps");

static struct bpf_cpumask __kptr *all_mask __attribute__((section(".bss.A"), aligned(8)));
static struct bpf_cpumask __kptr *big_mask __attribute__((section(".bss.A"), aligned(8)));
static struct bpf_cpumask __kptr *node_masks[MAX_NODES] __attribute__((section(".bss.A"), aligned(8)));

struct layer layers[MAX_LAYERS];
struct layer *fallback;
struct task_ctx *hottest;

#define cast_mask(mask) ((const struct cpumask *)(mask))

static __always_inline struct task_ctx *lookup_task_ctx(struct task_struct *p)
{
	return bpf_task_storage_get(&task_ctxs, p, NULL, 0);
}

static struct cpu_ctx *lookup_cpu_ctx(s32 cpu)
{
	u32 zero = 0;

	if (cpu < 0)
		return bpf_map_lookup_elem(&cpu_ctxs, &zero);
	return bpf_map_lookup_percpu_elem(&cpu_ctxs, &zero, cpu);
}

static struct cpumask *lookup_layer_mask(u32 layer)
{
	struct mask_wrapper *w = bpf_map_lookup_elem(&layer_masks, &layer);

	return w ? (struct cpumask *)w->cpumask : NULL;
}

static __noinline int install(struct bpf_cpumask **slot)
{
	struct bpf_cpumask *mask = bpf_cpumask_create();

	if (!mask)
		return -1;
	mask = bpf_kptr_xchg(slot, mask);
	if (mask)
		bpf_cpumask_release(mask);
	return 0;
}

SEC("struct_ops/init_task")
int init_task(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0), *leader;
	struct cgroup *cgrp = (void *)ARG(ctx, 1);
	struct task_ctx *t = bpf_task_storage_get(&task_ctxs, p, NULL, 1);
	struct cgrp_ctx *c = bpf_cgrp_storage_get(&cgrp_ctxs, cgrp, NULL, 1);
	struct bpf_cpumask *mask;
	u32 i;

	if (!t || !c)
		return 1;
	mask = bpf_cpumask_create();
	if (!mask)
		return 1;
	mask = bpf_kptr_xchg(&t->layered.mask, mask);
	if (mask)
		bpf_cpumask_release(mask);
	if (install(&t->preferred))
		return 1;
	mask = bpf_kptr_xchg(&all_mask, bpf_cpumask_create());
	if (mask)
		bpf_cpumask_release(mask);
	for (i = 0; i < MAX_NODES; i++) {
		struct llc_ctx *llc = bpf_map_lookup_elem(&llcs, &i);

		if (!llc)
			break;
		mask = bpf_kptr_xchg(&llc->cpumask, bpf_cpumask_create());
		if (mask)
			bpf_cpumask_release(mask);
		mask = bpf_kptr_xchg(&node_masks[i], bpf_cpumask_create());
		if (mask)
			bpf_cpumask_release(mask);
	}
	leader = bpf_kptr_xchg(&c->leader, bpf_task_from_pid(1));
	if (leader)
		bpf_task_release(leader);
	cgrp = bpf_kptr_xchg(&c->parent, bpf_cgroup_from_id(7));
	if (cgrp)
		bpf_cgroup_release(cgrp);
	t->last_cpu = -1;
	return 0;
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct task_ctx *t = lookup_task_ctx(p), *running;
	struct cpu_ctx *c = lookup_cpu_ctx(-1);
	struct cpumask *layer;
	struct bpf_cpumask *mask;
	const struct cpumask *idle;
	u32 cpu = bpf_get_prandom_u32() & 63, zero = 0;
	struct llc_ctx *llc = bpf_map_lookup_elem(&llcs, &zero);

	if (!t || !c || !llc)
		return;
	c->running = t;
	c->llc = llc;
	fallback = &layers[cpu & (MAX_LAYERS - 1)];
	hottest = t;
	bpf_rcu_read_lock();
	layer = lookup_layer_mask(t->layer);
	if (layer && bpf_cpumask_test_cpu(cpu, layer))
		t->last_cpu = cpu;
	mask = t->node.mask;
	if (mask)
		bpf_cpumask_set_cpu(cpu, mask);
	mask = big_mask;
	idle = scx_bpf_get_idle_cpumask();
	if (mask && t->preferred)
		bpf_cpumask_and(t->preferred, cast_mask(mask), idle);
	scx_bpf_put_cpumask(idle);
	bpf_rcu_read_unlock();

	c = lookup_cpu_ctx(cpu);
	if (!c)
		return;
	running = c->running;
	if (running)
		running->runtime += 5;
	if (c->llc)
		c->llc->load++;
}

SEC("struct_ops/dispatch")
void dispatch(u64 *ctx)
{
	struct task_struct *prev = (void *)ARG(ctx, 1);
	struct task_ctx *t;

	if (fallback && fallback->weight > 3)
		fallback->weight--;
	t = hottest;
	if (t)
		t->runtime = 0;
	if (prev)
		hottest = lookup_task_ctx(prev);
}

SEC(".struct_ops.link")
struct test_ops ops = {
	.enqueue = (void *)enqueue,
	.dispatch = (void *)dispatch,
	.init_task = (void *)init_task,
};
