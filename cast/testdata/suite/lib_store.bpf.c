// SPDX-License-Identifier: GPL-2.0
/* A library unit: keeps a context of each task in the arena, behind a descriptor,
 * and pointers to both in a map. It is linked with task_user. */
#include "lib_store.h"

struct slab_page {
	struct slab_page __arena *prev;
	u32 used;
	u32 size;
};

struct store {
	struct slab_page __arena *chunk;
	u64 nr;
};

struct store store;

TASK_MAP(store_map, struct store_val);

__weak u64 store_alloc(u64 size)
{
	struct slab_page __arena *page = store.chunk;
	u64 at;

	if (!page || page->used + size > 4096) {
		page = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!page)
			return 0;
		page->prev = store.chunk;
		page->used = sizeof(*page);
		page->size = 4096;
		store.chunk = page;
	}
	at = page->used;
	page->used += size;
	store.nr++;
	return (u64)page + at;
}

__weak void __arena *store_of(struct task_struct *p, u64 size)
{
	struct store_val *v = bpf_task_storage_get(&store_map, p, NULL, 1);
	struct store_desc __arena *d;

	if (!v)
		return NULL;
	if (v->data)
		return v->data;
	d = (struct store_desc __arena *)store_alloc(sizeof(*d));
	if (!d)
		return NULL;
	d->tid = ++store.nr;
	d->owner = (u64)p; /* truth: store_desc.owner -> struct task_struct (kernel) */
	d->data = (void __arena *)store_alloc(size);
	v->desc = d;
	v->data = d->data;
	return v->data;
}

__weak u64 store_next(struct store_desc __arena *d __arg_arena)
{
	if (!d)
		return 0;
	if (d->next)
		return d->next->tid;
	d->next = store.nr > 3 ? d : NULL;
	return d->tid;
}
