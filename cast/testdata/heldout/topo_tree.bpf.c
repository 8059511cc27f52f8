// SPDX-License-Identifier: GPL-2.0
/* Machine, nodes, LLCs and cores: a tree of one type of vertex, whose data is
 * of another type at each level. */
#include "scx.h"

#define FANOUT 8

LICENSE();
ARENA(512);

struct vertex {
	u64 parent; /* truth vertex.parent -> struct vertex (arena) */
	u64 children[FANOUT]; /* truth vertex.children[] -> struct vertex (arena) */
	u64 data; /* of a node, an LLC or a CPU */ /* none vertex.data */
	u64 id; /* none vertex.id */
	u32 nr_children;
	u32 level;
};

struct node_data {
	u64 load;
	u64 capacity;
	u32 nr_llcs;
};
DESCRIBE(node_data);

struct llc_data {
	u32 nr_cpus;
	u32 pad;
	u64 vtime;
	u64 waiting[4];
};
DESCRIBE(llc_data);

struct cpu_data {
	s32 cpu;
	u32 flags;
	u64 idle_since;
	u64 home; /* truth cpu_data.home -> struct vertex (arena) */
};
DESCRIBE(cpu_data);

struct vertex __arena *machine;
u64 cpu_vertices[64]; /* truth .bss.cpu_vertices[] -> struct vertex (arena) */
u64 walk_at; /* truth .bss.walk_at -> struct vertex (arena) */

static __noinline struct vertex __arena *add(struct vertex __arena *parent, u64 id)
{
	struct vertex __arena *v = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

	if (!v)
		return NULL;
	v->id = id;
	v->nr_children = 0;
	v->parent = (u64)parent;
	v->level = 0;
	if (parent) {
		v->level = parent->level + 1;
		if (parent->nr_children < FANOUT)
			parent->children[parent->nr_children++ & (FANOUT - 1)] = (u64)v;
	}
	return v;
}

/* The next vertex in depth-first order. */
static __noinline struct vertex __arena *next(struct vertex __arena *v)
{
	struct vertex __arena *parent;
	u32 i;

	if (v->children[0])
		return (struct vertex __arena *)v->children[0];
	while (v && can_loop()) {
		parent = (struct vertex __arena *)v->parent;
		if (!parent)
			return NULL;
		for (i = 0; i < FANOUT - 1 && can_loop(); i++)
			if (parent->children[i] == (u64)v && parent->children[i + 1])
				return (struct vertex __arena *)parent->children[i + 1];
		v = parent;
	}
	return NULL;
}

OP0(s32, init)
{
	struct vertex __arena *node, *llc, *cpu;
	struct node_data __arena *nd;
	struct llc_data __arena *ld;
	struct cpu_data __arena *cd;
	u32 i;

	machine = add(NULL, 0);
	if (!machine)
		return -12;
	for (i = 0; i < 64; i++) {
		if (i % 32 == 0) {
			node = add(machine, i / 32);
			nd = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
			if (!node || !nd)
				return -12;
			nd->capacity = 32 * 1024;
			nd->nr_llcs = 4;
			node->data = (u64)nd;
		}
		if (i % 8 == 0) {
			llc = add(node, i / 8);
			ld = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
			if (!llc || !ld)
				return -12;
			ld->nr_cpus = 8;
			ld->waiting[i & 3] = 0;
			llc->data = (u64)ld;
		}
		cpu = add(llc, i);
		cd = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!cpu || !cd)
			return -12;
		cd->cpu = i;
		cd->idle_since = bpf_ktime_get_ns();
		cd->home = (u64)cpu;
		cpu->data = (u64)cd;
		cpu_vertices[i & 63] = (u64)cpu;
	}
	return 0;
}

OP1(void, tick, struct task_struct *, p)
{
	struct vertex __arena *v = (struct vertex __arena *)cpu_vertices[scx_bpf_task_cpu(p) & 63], *llc;
	struct cpu_data __arena *cd;
	struct llc_data __arena *ld;
	struct node_data __arena *nd;

	if (!v)
		return;
	cd = (struct cpu_data __arena *)v->data;
	if (cd && cd->home)
		cd->flags = ((struct vertex __arena *)cd->home)->level;
	llc = (struct vertex __arena *)v->parent;
	if (!llc)
		return;
	ld = (struct llc_data __arena *)llc->data;
	if (ld)
		ld->vtime += p->scx.slice;
	v = (struct vertex __arena *)llc->parent;
	if (v && v->data) {
		nd = (struct node_data __arena *)v->data;
		nd->load += p->scx.weight;
	}
	walk_at = (u64)(walk_at ? next((struct vertex __arena *)walk_at) : machine);
}

OPS(DO(init), DO(tick), .name = "topo_tree");
