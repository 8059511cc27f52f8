// SPDX-License-Identifier: GPL-2.0
/* A radix tree of what was allocated: descriptors hold a chunk of pointers, which
 * are to descriptors of the level below, or to the data at the lowest one. */
#include "suite.h"

ARENA_MAP;

#define FANOUT 64
#define LEVELS 3

struct desc {
	u64 used[FANOUT / 64];
	u64 nr_free;
	struct leaf_chunk __arena *chunk;
};

struct payload {
	u64 tid;
	struct task_struct *task;
	u64 words[6];
};

struct leaf_chunk {
	union {
		struct desc __arena *descs[FANOUT];
		struct payload __arena *data[FANOUT];
	};
};

struct slab {
	void __arena *free;
	u64 at;
	u64 end;
};

struct alloc {
	struct desc __arena *root;
	struct slab slab;
	u64 nr;
};

struct map_val {
	u64 tid;
	struct payload __arena *data;
};

TASK_MAP(slots, struct map_val);

struct alloc allocator;

static __noinline void __arena *slab_alloc(struct slab *s, u64 size)
{
	void __arena *p;

	if (s->at + size > s->end) {
		p = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!p)
			return NULL;
		s->free = p;
		s->at = 0;
		s->end = 4096;
	}
	p = s->free + s->at;
	s->at += size;
	return p;
}

static struct desc __arena *desc_new(struct alloc *a)
{
	struct leaf_chunk __arena *chunk;
	struct desc __arena *d = slab_alloc(&a->slab, sizeof(*d));

	if (!d)
		return NULL;
	chunk = slab_alloc(&a->slab, sizeof(*chunk));
	if (!chunk)
		return NULL;
	d->nr_free = FANOUT;
	d->used[0] = 0;
	d->chunk = chunk;
	return d;
}

static __noinline struct payload __arena *insert(struct alloc *a, u64 tid)
{
	struct desc __arena *d = a->root, *next;
	struct payload __arena *data;
	u32 pos;

	if (!d) {
		d = desc_new(a);
		a->root = d;
	}
	for (int level = 0; level < LEVELS - 1; level++) {
		if (!d)
			return NULL;
		pos = tid >> (6 * (LEVELS - 1 - level)) & (FANOUT - 1);
		next = d->chunk->descs[pos];
		if (!next) {
			next = desc_new(a);
			d->chunk->descs[pos] = next;
			d->nr_free--;
		}
		d = next;
	}
	if (!d)
		return NULL;
	pos = tid & (FANOUT - 1);
	data = slab_alloc(&a->slab, sizeof(*data));
	if (!data)
		return NULL;
	data->tid = tid;
	d->chunk->data[pos] = data;
	d->used[0] |= 1ULL << pos;
	return data;
}

SEC("struct_ops/init_task")
int init_task(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct map_val *v = bpf_task_storage_get(&slots, p, NULL, 1);
	struct payload __arena *data;

	if (!v)
		return 1;
	data = insert(&allocator, ++allocator.nr);
	if (!data)
		return 1;
	data->task = p;
	v->tid = data->tid;
	v->data = data;
	return 0;
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct map_val *v = bpf_task_storage_get(&slots, p, NULL, 0);

	if (v && v->data)
		v->data->words[p->pid & 3]++;
}

SCHED(.init_task = (void *)init_task, .enqueue = (void *)enqueue);
