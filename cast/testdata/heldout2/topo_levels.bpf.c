// SPDX-License-Identifier: GPL-2.0
/* The machine as a tree: node, LLC, core, CPU. Masks are allocated on their own. */
#include "../heldout/scx.h"

LICENSE();
ARENA(1024);

#define MAX_KIDS 16
#define MASK_WORDS 8

enum topo_kind { TOPO_TOP, TOPO_NODE, TOPO_LLC, TOPO_CORE, TOPO_CPU, NR_KINDS };

struct topo_mask {
	u64 word[MASK_WORDS]; /* none topo_mask.word[] */
};
DESCRIBE(topo_mask);

struct topo_unit {
	void __arena *parent; /* truth topo_unit.parent -> struct topo_unit (arena) */
	void __arena *kids[MAX_KIDS]; /* truth topo_unit.kids[] -> struct topo_unit (arena) */
	void __arena *mask; /* truth topo_unit.mask -> struct topo_mask (arena) */
	void __arena *sibling; /* the next of this kind */ /* truth topo_unit.sibling -> struct topo_unit (arena) */
	void __arena *data; /* truth topo_unit.data -> struct unit_stats (arena) */
	u64 id; /* none topo_unit.id */
	u64 dsq; /* none topo_unit.dsq */
	u32 nr_kids;
	enum topo_kind kind;
};

struct unit_stats {
	u64 nr_idle;
	u64 load[NR_KINDS];
};
DESCRIBE(unit_stats);

struct cpu_place {
	u64 leaf; /* truth cpu_place.leaf -> struct topo_unit (arena) */
	u64 llc; /* truth cpu_place.llc -> struct topo_unit (arena) */
	u64 apic; /* none cpu_place.apic */
};

void __arena *topo_top; /* truth .bss.topo_top -> struct topo_unit (arena) */
void __arena *topo_first[NR_KINDS]; /* truth .bss.topo_first[] -> struct topo_unit (arena) */
u64 mask_mem; /* none .bss.mask_mem */
u64 mask_used; /* none .bss.mask_used */

MAP(places, BPF_MAP_TYPE_ARRAY, 128, u32, struct cpu_place);

static __noinline struct topo_unit __arena *unit_new(struct topo_unit __arena *parent, u64 id)
{
	struct topo_unit __arena *u = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	u32 kind;

	if (!u)
		return NULL;
	u->mask = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	u->data = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!u->mask || !u->data)
		return NULL;
	mask_used += sizeof(struct topo_mask);
	u->id = id;
	u->parent = parent;
	if (!parent)
		return u;
	if (parent->nr_kids >= MAX_KIDS)
		return NULL;
	parent->kids[parent->nr_kids++] = u;
	kind = parent->kind + 1;
	if (kind >= NR_KINDS)
		return NULL;
	u->kind = kind;
	u->sibling = topo_first[kind];
	topo_first[kind] = u;
	return u;
}

static __noinline void mark(struct topo_unit __arena *u, u32 cpu)
{
	for (; u && can_loop(); u = u->parent) {
		struct topo_mask __arena *m = u->mask;

		if (m)
			m->word[(cpu / 64) & (MASK_WORDS - 1)] |= 1ULL << (cpu & 63);
	}
}

static __noinline struct topo_unit __arena *child_of(struct topo_unit __arena *parent, u64 id)
{
	struct topo_unit __arena *u;
	u32 i;

	for (i = 0; i < parent->nr_kids && i < MAX_KIDS && can_loop(); i++) {
		u = parent->kids[i];
		if (u && u->id == id)
			return u;
	}
	return unit_new(parent, id);
}

static __noinline int add_cpu(u32 cpu)
{
	struct topo_unit __arena *node, *llc, *core, *leaf;
	struct cpu_place *at = bpf_map_lookup_elem(&places, &cpu);

	if (!at || !topo_top)
		return -2;
	node = child_of(topo_top, cpu / 64);
	if (!node)
		return -12;
	llc = child_of(node, cpu / 16);
	if (!llc)
		return -12;
	core = child_of(llc, cpu / 2);
	if (!core)
		return -12;
	leaf = child_of(core, cpu);
	if (!leaf)
		return -12;
	mark(leaf, cpu);
	llc->dsq = 0x1000 + llc->id;
	at->leaf = (u64)leaf;
	at->llc = (u64)llc;
	at->apic = cpu << 4 | 1;
	return 0;
}

OP0(s32, init)
{
	u32 i;
	int err;

	topo_top = unit_new(NULL, 0);
	mask_mem = 64 * sizeof(struct topo_mask);
	for (i = 0; i < 128 && can_loop(); i++) {
		err = add_cpu(i);
		if (err)
			return err;
	}
	return 0;
}

static __noinline s32 idle_in(struct topo_unit __arena *u)
{
	struct unit_stats __arena *st = u->data;
	struct topo_mask __arena *m = u->mask;
	u32 i;

	if (!st || !st->nr_idle || !m)
		return -16;
	for (i = 0; i < MASK_WORDS && can_loop(); i++)
		if (m->word[i])
			return i * 64 + __builtin_popcountll(~m->word[i] & (m->word[i] - 1));
	return -16;
}

OP3(s32, select_cpu, struct task_struct *, p, s32, prev_cpu, u64, wake_flags)
{
	u32 key = prev_cpu;
	struct cpu_place *at = bpf_map_lookup_elem(&places, &key);
	struct topo_unit __arena *u;
	s32 cpu;

	if (!at)
		return prev_cpu;
	for (u = (struct topo_unit __arena *)at->leaf; u && can_loop(); u = u->parent) {
		cpu = idle_in(u);
		if (cpu >= 0)
			return cpu;
	}
	for (u = topo_first[TOPO_LLC]; u && can_loop(); u = u->sibling) {
		cpu = idle_in(u);
		if (cpu >= 0)
			return cpu;
	}
	return prev_cpu;
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	u32 key = scx_bpf_task_cpu(p);
	struct cpu_place *at = bpf_map_lookup_elem(&places, &key);
	struct topo_unit __arena *llc;
	struct unit_stats __arena *st;

	if (!at || !at->llc)
		return;
	llc = (struct topo_unit __arena *)at->llc;
	st = llc->data;
	if (st)
		st->load[TOPO_LLC] += p->scx.weight;
	scx_bpf_dsq_insert(p, llc->dsq, SCX_SLICE_DFL, flags);
}

OPS(DO(init), DO(select_cpu), DO(enqueue), .name = "topo_levels");
