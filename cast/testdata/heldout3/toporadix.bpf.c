/* SPDX-License-Identifier: GPL-2.0 */
/* The machine as a tree: a level has children and a parent, every CPU finds its
 * levels by number. A walk up the tree finds an idle neighbour. */
#include "scx.h"

#define FAN 16
#define CPUS 256
#define LEVELS 4

ARENA_MAP(arena);

struct level {
	struct level __arena *parent;
	struct level __arena *children[FAN];
	u64 mask; /* truth: level.mask -> struct cpubits (arena) */
	u32 nr_children;
	u32 depth;
	u64 data; /* truth: level.data -> struct load (arena) */
};

typedef struct level __arena level_t;

struct cpubits {
	u64 bits[CPUS / 64];
};

struct load {
	u64 sum;
	u64 last;
	level_t *level;
};

struct cpu {
	u64 levels[LEVELS]; /* truth: cpu.levels[] -> struct level (arena) */
	level_t *leaf;
	u32 id;
};

level_t *machine;
level_t *leaves[CPUS];
struct cpu cpus[CPUS];
u64 by_depth[LEVELS]; /* truth: .bss.by_depth[] -> struct level (arena) */

static level_t *new_level(level_t *parent)
{
	level_t *lv = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	struct load __arena *load;
	u32 i;

	if (!lv)
		return NULL;
	load = (struct load __arena *)(lv + 1);
	lv->mask = (u64)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	lv->data = (u64)load;
	load->level = lv;
	lv->parent = parent;
	if (!parent)
		return lv;
	i = parent->nr_children++;
	if (i >= FAN)
		return NULL;
	parent->children[i] = lv;
	lv->depth = parent->depth + 1;
	return lv;
}

static __noinline void set_in(struct cpubits __arena *mask, u32 cpu)
{
	mask->bits[cpu / 64 & 3] |= 1ull << (cpu & 63);
}

static void set_bit(level_t *lv, u32 cpu)
{
	if (lv->mask)
		set_in((struct cpubits __arena *)lv->mask, cpu);
}

static __noinline void stamp(struct load __arena *load)
{
	load->last = bpf_ktime_get_ns();
}

static int add_path(u32 cpu, const u8 *path)
{
	level_t *at = machine, *kid;

	set_bit(at, cpu);
	for (u32 d = 1; d < LEVELS; d++) {
		kid = at->children[path[d] & (FAN - 1)];
		if (!kid)
			kid = new_level(at);
		if (!kid)
			return -ENOMEM;
		by_depth[d] = (u64)kid;
		cpus[cpu & (CPUS - 1)].levels[d] = (u64)kid;
		set_bit(kid, cpu);
		at = kid;
	}
	cpus[cpu & (CPUS - 1)].leaf = at;
	cpus[cpu & (CPUS - 1)].id = cpu;
	leaves[cpu & (CPUS - 1)] = at;
	return 0;
}

SEC("struct_ops/toporadix_dispatch")
int toporadix_dispatch(u64 *ctx)
{
	u32 cpu = ARG(ctx, 0) & (CPUS - 1);
	level_t *at = cpus[cpu].leaf, *up, *other = NULL;
	struct load __arena *load, *best = NULL;

	for (u32 d = 0; d < LEVELS && at; d++) {
		up = at->parent;
		if (!up)
			break;
		for (u32 i = 0; i < FAN; i++) {
			other = up->children[i];
			if (!other || other == at)
				continue;
			load = (struct load __arena *)other->data;
			if (load && (!best || load->sum < best->sum))
				best = load;
		}
		at = up;
	}
	if (best)
		return best->level->depth;
	at = (level_t *)by_depth[cpu & (LEVELS - 1)];
	return at ? at->nr_children : 0;
}

SEC("struct_ops/toporadix_enqueue")
int toporadix_enqueue(u64 *ctx)
{
	u32 cpu = bpf_get_smp_processor_id() & (CPUS - 1);
	level_t *lv = leaves[cpu];
	u64 addr = cpus[cpu].levels[1];

	if (lv && lv->data)
		((struct load __arena *)lv->data)->sum++;
	if (addr)
		stamp((struct load __arena *)((level_t *)addr)->data);
	return 0;
}

SEC("syscall")
int toporadix_init(void *ctx)
{
	machine = new_level(NULL);
	if (!machine)
		return -ENOMEM;
	for (u32 cpu = 0; cpu < CPUS; cpu++) {
		u8 path[LEVELS] = { 0, cpu / 64, cpu / 16 & 3, cpu & 15 };

		if (add_path(cpu, path))
			return -ENOMEM;
	}
	return 0;
}

SEC(".struct_ops.link")
struct test_ops toporadix_ops = {
	.enqueue = (void *)toporadix_enqueue,
	.dispatch = (void *)toporadix_dispatch,
};
