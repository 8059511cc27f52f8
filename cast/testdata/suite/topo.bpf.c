// SPDX-License-Identifier: GPL-2.0
/* A tree of the machine with data of the scheduler's at each level, and masks. */
#include "suite.h"
ARENA_MAP;
#define MAX_KIDS 16

enum level { MACHINE, NODE, LLC, CORE, LEVELS };

struct mask {
	u64 bits[16];
};
struct topo {
	struct topo __arena *parent;
	struct topo __arena *children[MAX_KIDS];
	u64 nr_children;
	struct mask __arena *mask;
	enum level level;
	u64 id; /* truth: topo.id number */
	void __arena *data; /* truth: topo.data -> struct llc_data (arena) */
};
struct llc_data {
	u32 id;
	u32 nr_idle;
	u64 vtime;
	struct mask __arena *idle;
	struct topo __arena *topo;
};
struct topo __arena *machine;
struct topo __arena *by_level[LEVELS][8];

__weak int mask_set(struct mask __arena *m __arg_arena, u32 cpu)
{
	if (!m)
		return -1;
	m->bits[(cpu >> 6) & 15] |= 1ULL << (cpu & 63);
	return 0;
}

static struct topo __arena *topo_new(struct topo __arena *parent, u64 id)
{
	struct topo __arena *t = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

	if (!t)
		return NULL;
	t->parent = parent;
	t->id = id;
	t->level = parent ? parent->level + 1 : MACHINE;
	t->mask = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (parent && parent->nr_children < MAX_KIDS)
		parent->children[parent->nr_children++ & 15] = t;
	by_level[t->level & 3][id & 7] = t;
	return t;
}

SEC("struct_ops/init_task")
int init_task(u64 *ctx)
{
	struct topo __arena *at;
	struct llc_data __arena *d;
	u32 cpu = bpf_get_smp_processor_id();

	if (!machine)
		machine = topo_new(NULL, 0);
	at = topo_new(machine, cpu);
	if (!at)
		return 1;
	d = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!d)
		return 1;
	d->id = cpu;
	d->nr_idle = 0;
	d->vtime = bpf_ktime_get_ns();
	d->idle = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	d->topo = at;
	at->data = d;
	for_times(i, LEVELS) {
		if (!at)
			break;
		mask_set(at->mask, cpu);
		at = at->parent;
	}
	return mask_set(d->idle, cpu);
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct topo __arena *t = by_level[LLC][bpf_get_prandom_u32() & 7];
	struct llc_data __arena *d;

	if (!t || !t->data)
		return;
	d = t->data;
	d->nr_idle++;
	d->vtime += t->id;
	if (d->topo && d->topo->children[0])
		mask_set(d->topo->children[0]->mask, 3);
}
SCHED(.init_task = (void *)init_task, .enqueue = (void *)enqueue);
