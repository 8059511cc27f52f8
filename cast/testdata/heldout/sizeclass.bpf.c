// SPDX-License-Identifier: GPL-2.0
/* An allocator of size classes: each has chunks, newest first, and a bump
 * pointer into the newest. */
#include "scx.h"

#define NR_CLASSES 6
#define CHUNK (4 * 4096)

LICENSE();
ARENA(4096);

struct chunk {
	u64 prev; /* truth chunk.prev -> struct chunk (arena) */
	u64 size;
	u64 used; /* none chunk.used */
};

struct size_class {
	u64 chunk; /* truth size_class.chunk -> struct chunk (arena) */
	u64 nr_chunks;
	u64 elem;
};

struct allocator {
	struct size_class classes[NR_CLASSES];
	u64 total; /* none allocator.total */
};

struct cell {
	u32 id;
	u32 nr_cpus;
	u64 vtime_now;
	u64 sibling; /* truth cell.sibling -> struct cell (arena) */
	u64 limits; /* truth cell.limits -> struct limits (arena) */
};

struct limits {
	u64 quota;
	u64 period;
};

struct allocator mem;
struct cell __arena *root_cell;
u64 cells[16]; /* truth .bss.cells[] -> struct cell (arena) */

static __noinline struct chunk __arena *grow(struct size_class *class)
{
	struct chunk __arena *c = bpf_arena_alloc_pages(&arena, NULL, CHUNK / 4096, -1, 0);

	if (!c)
		return NULL;
	c->prev = class->chunk;
	c->size = CHUNK;
	c->used = sizeof(*c);
	class->chunk = (u64)c;
	class->nr_chunks++;
	return c;
}

static __noinline u64 alloc_bytes(struct allocator *a, u32 size)
{
	u32 class = size <= 16 ? 0 : size <= 32 ? 1 : size <= 64 ? 2 : 3;
	struct size_class *sc = &a->classes[class];
	struct chunk __arena *c = (struct chunk __arena *)sc->chunk;
	u64 at;

	if (!c || c->used + size > c->size)
		c = grow(sc);
	if (!c)
		return 0;
	at = (u64)c + c->used;
	c->used += 16 << class;
	a->total += size;
	return at;
}

/* How much of the newest chunks is used, for a report. */
static __noinline u64 waste(struct allocator *a)
{
	struct chunk __arena *c;
	u64 sum = 0;
	int i;

	for (i = 0; i < NR_CLASSES; i++)
		for (c = (struct chunk __arena *)a->classes[i].chunk; c && can_loop(); c = (struct chunk __arena *)c->prev)
			sum += c->size - c->used;
	return sum;
}

u64 wasted;

static __noinline struct limits __arena *limits_of(struct cell __arena *cell)
{
	return (struct limits __arena *)cell->limits;
}

OP2(s32, cgroup_init, struct cgroup *, cgrp, struct scx_cgroup_init_args *, args)
{
	struct cell __arena *cell = (struct cell __arena *)alloc_bytes(&mem, sizeof(*cell));
	struct limits __arena *limits = (struct limits __arena *)alloc_bytes(&mem, sizeof(*limits));

	if (!cell || !limits)
		return -12;
	cell->id = cgrp->kn->id;
	cell->nr_cpus = 0;
	cell->vtime_now = 0;
	limits->quota = args->weight * 1000ULL;
	limits->period = 100000;
	cell->limits = (u64)limits;
	cell->sibling = cells[cell->id & 15];
	cells[cell->id & 15] = (u64)cell;
	if (!root_cell)
		root_cell = cell;
	wasted = waste(&mem);
	return 0;
}

OP1(void, tick, struct task_struct *, p)
{
	struct cell __arena *cell = (struct cell __arena *)cells[p->pid & 15];
	struct limits __arena *limits;

	for (; cell && can_loop(); cell = (struct cell __arena *)cell->sibling) {
		limits = limits_of(cell);
		if (limits && limits->quota < limits->period)
			cell->vtime_now += limits->period - limits->quota;
	}
}

OPS(DO(cgroup_init), DO(tick), .name = "sizeclass");
