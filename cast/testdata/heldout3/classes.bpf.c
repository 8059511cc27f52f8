/* SPDX-License-Identifier: GPL-2.0 */
/* An allocator with a class for each size: chunks are carved into cells, and
 * what is given back goes on the class's free list. */
#include "scx.h"

#define CLASSES 6
#define CHUNK (4 * PAGE)

ARENA_MAP(arena);

struct cell {
	struct cell __arena *next;
};

struct chunk {
	struct chunk __arena *next;
	struct size_class __arena *owner;
	u64 fresh; /* truth: chunk.fresh different */
	u64 end; /* truth: chunk.end different */
	u32 used;
};

struct size_class {
	struct cell __arena *free;
	struct chunk __arena *partial;
	struct chunk __arena *full;
	u64 size;
	u64 nr_free;
};

struct allocator {
	struct size_class classes[CLASSES];
	struct chunk __arena *spare;
};

struct job {
	struct job __arena *next;
	struct detail __arena *detail;
	s32 pid;
};

struct detail {
	u64 back; /* truth: detail.back -> struct job (arena) */
	u64 seen[8];
};

struct allocator __arena *heap;
struct job __arena *jobs;
u64 newest; /* truth: .bss.newest -> struct job (arena) */

static __noinline struct chunk __arena *new_chunk(struct size_class __arena *class)
{
	struct chunk __arena *chunk = heap->spare;

	if (chunk)
		heap->spare = chunk->next;
	else
		chunk = bpf_arena_alloc_pages(&arena, NULL, CHUNK / PAGE, -1, 0);
	if (!chunk)
		return NULL;
	chunk->owner = class;
	chunk->fresh = (u64)(chunk + 1);
	chunk->end = (u64)chunk + CHUNK;
	chunk->used = 0;
	chunk->next = class->partial;
	class->partial = chunk;
	return chunk;
}

static u64 carve(struct size_class __arena *class)
{
	struct chunk __arena *chunk = class->partial;
	u64 at;

	if (chunk && chunk->fresh + class->size > chunk->end) {
		class->partial = chunk->next;
		chunk->next = class->full;
		class->full = chunk;
		chunk = NULL;
	}
	if (!chunk)
		chunk = new_chunk(class);
	if (!chunk)
		return 0;
	at = chunk->fresh;
	chunk->fresh += class->size;
	chunk->used++;
	return at;
}

__noinline u64 class_alloc(u64 size)
{
	struct size_class __arena *class;
	struct cell __arena *cell;

	if (!heap)
		return 0;
	for (u32 i = 0; i < CLASSES; i++) {
		class = &heap->classes[i];
		if (class->size < size)
			continue;
		cell = class->free;
		if (!cell)
			return carve(class);
		class->free = cell->next;
		class->nr_free--;
		return (u64)cell;
	}
	return 0;
}

static __noinline void give_back(struct size_class __arena *class, struct cell __arena *cell)
{
	cell->next = class->free;
	class->free = cell;
	class->nr_free++;
}

__noinline int class_free(u64 addr)
{
	struct chunk __arena *chunk = (struct chunk __arena *)(addr & ~(u64)(CHUNK - 1));
	struct cell __arena *cell = (struct cell __arena *)addr;
	struct size_class __arena *class;

	if (!addr)
		return -EINVAL;
	class = chunk->owner;
	give_back(class, cell);
	if (--chunk->used == 0 && class->partial != chunk)
		heap->spare = chunk;
	return 0;
}

static __noinline void describe(struct detail __arena *detail, struct job __arena *job)
{
	job->detail = detail;
	detail->back = (u64)job;
	detail->seen[0] = bpf_ktime_get_ns();
}

SEC("struct_ops/classes_enqueue")
int classes_enqueue(u64 *ctx)
{
	struct task_struct *p = (struct task_struct *)ARG(ctx, 0);
	struct job __arena *job = (struct job __arena *)class_alloc(sizeof(*job));
	struct detail __arena *detail = (struct detail __arena *)class_alloc(sizeof(*detail));

	if (!job || !detail)
		return -ENOMEM;
	job->pid = p->pid;
	describe(detail, job);
	job->next = jobs;
	jobs = job;
	newest = (u64)job;
	return 0;
}

SEC("struct_ops/classes_dispatch")
int classes_dispatch(u64 *ctx)
{
	struct job __arena *job = jobs, *last = (struct job __arena *)newest;
	struct detail __arena *detail;

	if (!job)
		return 0;
	jobs = job->next;
	detail = job->detail;
	if (((struct job __arena *)detail->back)->pid != job->pid || last->pid < 0)
		return -EINVAL;
	class_free((u64)detail);
	return class_free((u64)job);
}

SEC("syscall")
int classes_init(void *ctx)
{
	heap = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!heap)
		return -ENOMEM;
	for (u32 i = 0; i < CLASSES; i++)
		heap->classes[i].size = 16ull << i;
	return 0;
}

SEC(".struct_ops.link")
struct test_ops classes_ops = {
	.enqueue = (void *)classes_enqueue,
	.dispatch = (void *)classes_dispatch,
};
