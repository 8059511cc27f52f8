// SPDX-License-Identifier: GPL-2.0
/* Pointers to the arena as the values of maps, and in keys' neighbours. */
#include "suite.h"
ARENA_MAP;

struct llc {
	u32 id;
	u32 nr;
	u64 vtime;
	struct llc __arena *near[4];
};
struct entry {
	u64 key; /* truth: entry.key number */
	struct llc __arena *llc;
};
struct cell {
	u32 cpu;
	u32 pad;
	u64 llc; /* truth: cell.llc -> struct llc (arena) */
	u64 stamp; /* truth: cell.stamp number */
};
struct {
	__uint(type, HASH);
	__uint(max_entries, 64);
	__type(key, u32);
	__type(value, u64);
} llc_of SEC(".maps"); /* truth: map llc_of -> struct llc (arena) */
struct {
	__uint(type, HASH);
	__uint(max_entries, 64);
	__type(key, u64);
	__type(value, u64);
} stamps SEC(".maps"); /* truth: map stamps number */
struct {
	__uint(type, HASH);
	__uint(max_entries, 64);
	__type(key, u32);
	__type(value, struct cell);
} cells SEC(".maps");
struct entry entries[8];

__weak int llc_join(struct llc __arena *l __arg_arena, u32 cpu)
{
	struct cell c = {};

	if (!l)
		return -1;
	c.cpu = cpu;
	c.llc = (u64)l;
	c.stamp = bpf_ktime_get_ns();
	l->nr++;
	return bpf_map_update_elem(&cells, &cpu, &c, 0);
}

SEC("struct_ops/init_task")
int init_task(u64 *ctx)
{
	u32 cpu = bpf_get_smp_processor_id();
	u64 *known = bpf_map_lookup_elem(&llc_of, &cpu), l = known ? *known : 0, now = bpf_ktime_get_ns();

	bpf_map_update_elem(&stamps, &now, &now, 0);
	if (!l) {
		l = (u64)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		bpf_map_update_elem(&llc_of, &cpu, &l, 0);
	}
	entries[cpu & 7].key = cpu;
	entries[cpu & 7].llc = (struct llc __arena *)l;
	return llc_join((struct llc __arena *)l, cpu);
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	u32 cpu = bpf_get_smp_processor_id();
	struct cell *c = bpf_map_lookup_elem(&cells, &cpu);
	struct llc __arena *l, *other = entries[cpu & 7].llc;

	if (!c || !other)
		return;
	l = (struct llc __arena *)c->llc;
	l->vtime += bpf_ktime_get_ns() - c->stamp;
	l->near[cpu & 3] = other;
	if (other->near[0])
		other->near[0]->vtime++;
}
SCHED(.init_task = (void *)init_task, .enqueue = (void *)enqueue);
