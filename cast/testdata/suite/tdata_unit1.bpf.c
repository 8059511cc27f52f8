// SPDX-License-Identifier: GPL-2.0
/* Task data of a size that the user says, from chunks in the arena, found by the task. */
#include "tdata.h"

TASK_MAP(td_map, struct td_val);
struct td_alloc td_allocator;
struct td_hdr __arena *td_typed_hdr;
struct td_chunk __arena *td_typed_chunk;

static struct td_chunk __arena *chunk_new(void)
{
	struct td_chunk __arena *c = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

	if (!c)
		return NULL;
	c->prev = td_allocator.chunk;
	c->elem = td_allocator.elem + sizeof(struct td_hdr);
	c->used = sizeof(*c);
	c->free = 0;
	td_allocator.chunk = (u64)c;
	return c;
}

static __noinline u64 hdr_alloc(void)
{
	struct td_chunk __arena *c = (struct td_chunk __arena *)td_allocator.chunk;
	struct td_hdr __arena *h;

	if (!c || (!c->free && c->used + c->elem > 4096)) {
		c = chunk_new();
		if (!c)
			return 0;
	}
	h = (struct td_hdr __arena *)c->free;
	if (h) {
		c->free = h->next;
	} else {
		h = (void __arena *)((u64)c + c->used);
		c->used += c->elem;
	}
	h->chunk = (u64)c;
	h->next = 0;
	h->tid = ++td_allocator.gen;
	c->nr++;
	return (u64)h;
}

int td_init(u64 elem)
{
	td_allocator.elem = (elem + 7) & ~7ULL;
	return chunk_new() ? 0 : -12;
}

u64 td_page(void)
{
	return (u64)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
}

u64 td_task_alloc(struct task_struct *p)
{
	struct td_val *v = bpf_task_storage_get(&td_map, p, NULL, 1);
	struct td_hdr __arena *h;

	if (!v)
		return 0;
	h = (struct td_hdr __arena *)hdr_alloc();
	if (!h)
		return 0;
	v->tid = h->tid;
	v->tptr = (u64)p;
	v->hdr = (u64)h;
	v->data = (u64)h->payload;
	return v->data;
}

u64 td_task_data(struct task_struct *p)
{
	struct td_val *v = bpf_task_storage_get(&td_map, p, NULL, 0);

	return v ? v->data : 0;
}

void td_task_free(struct task_struct *p)
{
	struct td_val *v = bpf_task_storage_get(&td_map, p, NULL, 0);
	struct td_hdr __arena *h;
	struct td_chunk __arena *c;

	if (!v || !v->hdr)
		return;
	h = (struct td_hdr __arena *)v->hdr;
	c = (struct td_chunk __arena *)h->chunk;
	h->next = c->free;
	c->free = (u64)h;
	c->nr--;
	v->hdr = 0;
	v->data = 0;
}
