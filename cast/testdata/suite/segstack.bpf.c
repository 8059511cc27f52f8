// SPDX-License-Identifier: GPL-2.0
/* A stack of segments, from which an allocator takes free elements: segments are
 * linked both ways, and one that was emptied is kept in reserve. */
#include "suite.h"

ARENA_MAP;

#define PER_SEGMENT 60

struct segment {
	void __arena *elems[PER_SEGMENT]; /* truth: segment.elems[] different */
	struct segment __arena *prev;
	struct segment __arena *next;
};

struct stack {
	u32 lock;
	struct segment __arena *first;
	struct segment __arena *last;
	struct segment __arena *current;
	u64 at;
	struct segment __arena *reserve;
	u64 size;
	u64 capacity;
};

struct cell_stat {
	u64 runs;
	u32 cpu;
	u16 kind;
};

struct stack small;
struct cell_stat __arena *stats[8];

static int grow(struct stack *s)
{
	struct segment __arena *seg = s->reserve;

	if (seg)
		s->reserve = NULL;
	else
		seg = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!seg)
		return -1;
	seg->prev = s->last;
	seg->next = NULL;
	if (s->last)
		s->last->next = seg;
	else
		s->first = s->current = seg;
	s->last = seg;
	s->capacity += PER_SEGMENT;
	return 0;
}

static __noinline int push(struct stack *s, void __arena *elem)
{
	struct segment __arena *seg;

	if (s->size >= s->capacity && grow(s))
		return -1;
	seg = s->current;
	if (!seg || s->at >= PER_SEGMENT)
		return -1;
	seg->elems[s->at] = elem;
	s->at++;
	s->size++;
	if (s->at == PER_SEGMENT && seg->next) {
		s->current = seg->next;
		s->at = 0;
	}
	return 0;
}

static __noinline void __arena *pop(struct stack *s)
{
	struct segment __arena *seg = s->current;

	if (!seg || !s->size)
		return NULL;
	if (s->at == 0) {
		if (!seg->prev)
			return NULL;
		s->current = seg->prev;
		if (!s->reserve && seg->next) {
			s->reserve = seg->next;
			seg->next = NULL;
		}
		seg = s->current;
		s->at = PER_SEGMENT;
	}
	s->at--;
	s->size--;
	return seg->elems[s->at < PER_SEGMENT ? s->at : 0];
}

SEC("struct_ops/init_task")
int init_task(u64 *ctx)
{
	char __arena *page = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

	if (!page)
		return 1;
	for_times(i, 60)
		push(&small, page + 64 * i);
	return 0;
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	u32 i = bpf_get_smp_processor_id() & 7;
	struct cell_stat __arena *c = stats[i];

	if (!c) {
		c = pop(&small);
		if (!c)
			return;
		c->cpu = i;
		c->kind = 3;
		stats[i] = c;
	}
	c->runs++;
}

SEC("struct_ops/dispatch")
void dispatch(u64 *ctx)
{
	u32 i = bpf_get_smp_processor_id() & 7;

	if (stats[i] && stats[i]->runs > 100) {
		push(&small, stats[i]);
		stats[i] = NULL;
	}
}

SCHED(.init_task = (void *)init_task, .enqueue = (void *)enqueue, .dispatch = (void *)dispatch);
