// SPDX-License-Identifier: GPL-2.0
/* An allocator of size classes: objects of one class come from chunks, which are
 * chained by prev, and objects that were freed from a list of their class. */
#include "suite.h"

ARENA_MAP;

#define CLASSES 6

struct chunk {
	struct chunk __arena *prev;
	u32 class;
	u32 used;
	char space[0];
};

struct free_obj {
	struct free_obj __arena *next;
};

struct size_class {
	u64 size;
	struct chunk __arena *chunk;
	struct free_obj __arena *free;
	u64 nr;
};

struct allocator {
	struct size_class classes[CLASSES];
	u64 pages;
};

struct cpu_state {
	u32 cpu;
	u32 nr;
	u64 load;
	struct task_node __arena *running;
};

struct task_node {
	struct task_node __arena *next;
	struct cpu_state __arena *cpu;
	u64 vtime;
	u32 pid;
	u32 flags;
	u64 runs[4];
};

struct allocator heap;
struct cpu_state __arena *cpus[16];
struct task_node __arena *waiting;

static __noinline u32 class_of(u64 size)
{
	u32 c = 0;

	for (; c < CLASSES - 1; c++)
		if (size <= 16u << c)
			break;
	return c;
}

__weak u64 heap_alloc(u64 size)
{
	u32 c = class_of(size);
	struct size_class *k;
	struct chunk __arena *chunk;
	struct free_obj __arena *obj;

	if (c >= CLASSES)
		return 0;
	k = &heap.classes[c];
	obj = k->free;
	if (obj) {
		k->free = obj->next;
		k->nr--;
		return (u64)obj;
	}
	chunk = k->chunk;
	if (!chunk || chunk->used + (16u << c) > 4096 - sizeof(*chunk)) {
		chunk = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!chunk)
			return 0;
		chunk->prev = k->chunk;
		chunk->class = c;
		chunk->used = 0;
		k->chunk = chunk;
		k->size = 16u << c;
		heap.pages++;
	}
	obj = (struct free_obj __arena *)(chunk->space + chunk->used);
	chunk->used += 16u << c;
	return (u64)obj;
}

__weak int heap_free(u64 addr)
{
	struct chunk __arena *chunk = (struct chunk __arena *)(addr & ~4095ULL);
	struct free_obj __arena *obj = (struct free_obj __arena *)addr;
	u32 c;

	if (!addr)
		return -1;
	c = chunk->class;
	if (c >= CLASSES)
		return -1;
	obj->next = heap.classes[c].free;
	heap.classes[c].free = obj;
	heap.classes[c].nr++;
	return 0;
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	u32 i = bpf_get_smp_processor_id() & 15;
	struct cpu_state __arena *cs = cpus[i];
	struct task_node __arena *n;

	if (!cs) {
		cs = (struct cpu_state __arena *)heap_alloc(sizeof(*cs));
		if (!cs)
			return;
		cs->cpu = i;
		cs->nr = 0;
		cs->load = 0;
		cpus[i] = cs;
	}
	n = (struct task_node __arena *)heap_alloc(sizeof(*n));
	if (!n)
		return;
	n->pid = p->pid;
	n->flags = 0;
	n->vtime = bpf_ktime_get_ns();
	n->runs[i & 3]++;
	n->cpu = cs;
	n->next = waiting;
	waiting = n;
	cs->nr++;
}

SEC("struct_ops/dispatch")
void dispatch(u64 *ctx)
{
	struct task_node __arena *n = waiting;
	struct cpu_state __arena *cs;

	if (!n)
		return;
	waiting = n->next;
	cs = n->cpu;
	if (cs) {
		if (cs->running)
			heap_free((u64)cs->running);
		cs->running = n;
		cs->load += n->vtime;
	}
}

SCHED(.enqueue = (void *)enqueue, .dispatch = (void *)dispatch);
