// SPDX-License-Identifier: GPL-2.0
#include "objpool.h"

ARENA(4096);
DESCRIBE(pool_free);
DESCRIBE(pool_seg);
DESCRIBE(objpool);

static __noinline int pool_grow(struct objpool __arena *p)
{
	struct pool_seg __arena *s = bpf_arena_alloc_pages(&arena, NULL, SEG_PAGES, -1, 0);

	if (!s)
		return -12;
	s->end = SEG_PAGES * 4096 - sizeof(*s);
	s->link = p->segs;
	p->segs = (u64)s;
	p->cursor = sizeof(*s);
	return 0;
}

__weak u64 pool_create(u64 elem_size)
{
	struct objpool __arena *p = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

	if (!p)
		return 0;
	p->elem_size = (elem_size + 15) & ~15ULL;
	return (u64)p;
}

__weak u64 pool_get(u64 pool)
{
	struct objpool __arena *p = (struct objpool __arena *)pool;
	struct pool_free __arena *f;
	struct pool_seg __arena *s;
	u64 obj;

	if (!p)
		return 0;
	f = (struct pool_free __arena *)p->freed;
	if (f) {
		p->freed = f->after;
		p->live++;
		return (u64)f;
	}
	if (!p->segs || p->cursor + p->elem_size > SEG_PAGES * 4096)
		if (pool_grow(p))
			return 0;
	s = (struct pool_seg __arena *)p->segs;
	s->nr++;
	obj = (u64)s + p->cursor;
	p->cursor += p->elem_size;
	p->live++;
	return obj;
}

__weak int pool_put(u64 pool, u64 obj)
{
	struct objpool __arena *p = (struct objpool __arena *)pool;
	struct pool_free __arena *f = (struct pool_free __arena *)obj;

	if (!p || !f)
		return -22;
	f->after = p->freed;
	p->freed = (u64)f;
	p->live--;
	return 0;
}
