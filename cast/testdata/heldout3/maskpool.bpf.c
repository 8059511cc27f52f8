/* SPDX-License-Identifier: GPL-2.0 */
/* CPU masks as kptrs of a map value: a fresh mask is filled, exchanged with the
 * one in use, and the old one goes to the next update. */
#include "scx.h"

#define LAYERS 16

ARENA_MAP(arena);

struct layer_stat {
	u64 switches;
	u64 misses;
	struct layer_stat __arena *parent;
};

struct layer {
	struct bpf_cpumask __kptr *mask;
	struct bpf_cpumask __kptr *fresh;
	u64 stat; /* truth: layer.stat -> struct layer_stat (arena) */
	u64 seq;
};

struct {
	__uint(type, ARRAY);
	__uint(max_entries, LAYERS);
	__type(key, u32);
	__type(value, struct layer);
} layers SEC(".maps");

struct pooled {
	u64 bits; /* truth: pooled.bits -> struct bits (arena) */
	struct pooled __arena *next;
};

struct bits {
	u64 word[8];
	u64 refs;
};

typedef struct bits __arena bits_t;

struct maskpool {
	struct pooled __arena *free;
	struct pooled __arena *used;
	bits_t *all;
};

struct maskpool pool;
bits_t *all_cpus;
u64 root_stat; /* truth: .bss.root_stat -> struct layer_stat (arena) */

static __noinline void pool_put(struct pooled __arena *e)
{
	e->next = pool.free;
	pool.free = e;
}

static bits_t *bits_get(void)
{
	struct pooled __arena *e = pool.free;
	bits_t *b;

	if (!e)
		return pool.all;
	pool.free = e->next;
	e->next = pool.used;
	pool.used = e;
	b = (bits_t *)e->bits;
	b->refs++;
	return b;
}

static void bits_put(bits_t *b)
{
	struct pooled __arena *e = pool.used;

	if (!e || --b->refs)
		return;
	pool.used = e->next;
	e->bits = (u64)b;
	pool_put(e);
}

static __noinline void count(struct layer_stat __arena *st)
{
	st->switches++;
	if (st->parent)
		st->parent->switches++;
}

static int swap_masks(struct layer *l, u32 cpu)
{
	struct bpf_cpumask *fresh, *old;

	fresh = bpf_kptr_xchg(&l->fresh, NULL);
	if (!fresh)
		fresh = bpf_cpumask_create();
	if (!fresh)
		return -ENOMEM;
	bpf_cpumask_set_cpu(cpu, fresh);
	old = bpf_kptr_xchg(&l->mask, fresh);
	if (!old)
		return 0;
	old = bpf_kptr_xchg(&l->fresh, old);
	if (old)
		bpf_cpumask_release(old);
	return 0;
}

SEC("struct_ops/maskpool_enqueue")
int maskpool_enqueue(u64 *ctx)
{
	struct task_struct *p = (struct task_struct *)ARG(ctx, 0);
	u32 id = p->pid & (LAYERS - 1), cpu = bpf_get_smp_processor_id();
	struct layer *l = bpf_map_lookup_elem(&layers, &id);
	struct layer_stat __arena *st;
	bits_t *b;

	if (!l)
		return 0;
	st = (struct layer_stat __arena *)l->stat;
	if (st)
		count(st);
	b = bits_get();
	if (b) {
		b->word[cpu / 64 & 7] |= all_cpus->word[cpu / 64 & 7];
		bits_put(b);
	}
	l->seq++;
	return swap_masks(l, cpu);
}

SEC("struct_ops/maskpool_dispatch")
int maskpool_dispatch(u64 *ctx)
{
	u32 cpu = ARG(ctx, 0), id = cpu & (LAYERS - 1);
	struct layer *l = bpf_map_lookup_elem(&layers, &id);
	struct bpf_cpumask *mask;

	if (!l || !l->mask)
		return 0;
	mask = l->mask;
	if (!bpf_cpumask_test_cpu(cpu, &mask->cpumask) && root_stat)
		((struct layer_stat __arena *)root_stat)->misses++;
	return bpf_cpumask_first(&mask->cpumask);
}

SEC("syscall")
int maskpool_init(void *ctx)
{
	struct layer_stat __arena *root = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	struct pooled __arena *batch = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	struct layer *l;
	u32 id;

	all_cpus = bpf_arena_alloc_pages(&arena, NULL, 2, -1, 0);
	if (!root || !batch || !all_cpus)
		return -ENOMEM;
	pool.all = all_cpus;
	root_stat = (u64)root;
	for (u32 i = 0; i < LAYERS; i++) {
		id = i;
		batch[i].bits = (u64)&all_cpus[i + 1];
		pool_put(&batch[i]);
		l = bpf_map_lookup_elem(&layers, &id);
		if (!l)
			continue;
		root[i + 1].parent = root;
		l->stat = (u64)&root[i + 1];
	}
	return 0;
}

SEC(".struct_ops.link")
struct test_ops maskpool_ops = {
	.enqueue = (void *)maskpool_enqueue,
	.dispatch = (void *)maskpool_dispatch,
};
