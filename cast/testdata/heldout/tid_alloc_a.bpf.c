// SPDX-License-Identifier: GPL-2.0
#include "tid_alloc.h"

ARENA(4096);
STORAGE(tid_vals, BPF_MAP_TYPE_TASK_STORAGE, struct tid_val);
DESCRIBE(tid_chunk);
DESCRIBE(tid_hdr);

struct tid_alloc tid_alloc;

__weak int tid_init(u64 elem_size)
{
	tid_alloc.elem_size = elem_size + sizeof(struct tid_hdr);
	return 0;
}

static __noinline struct tid_hdr __arena *tid_get(struct tid_alloc *a)
{
	struct tid_chunk __arena *c = (struct tid_chunk __arena *)a->chunk;
	struct tid_hdr __arena *h;
	u64 i;

	a->lock_owner = bpf_get_smp_processor_id() + 1;
	if (!c || c->used == ~0ULL) {
		c = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!c)
			return NULL;
		c->used = 0;
		c->next = a->chunk;
		a->chunk = (u64)c;
	}
	for (i = 0; i < 64 && can_loop(); i++)
		if (!(c->used & (1ULL << i)))
			break;
	i &= 63;
	h = (struct tid_hdr __arena *)c->data[i];
	if (!h) {
		h = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!h)
			return NULL;
		c->data[i] = (u64)h;
		h->tid = i;
	}
	c->used |= 1ULL << i;
	h->tid += 1ULL << 32;
	h->size = a->elem_size;
	a->nr_live++;
	a->lock_owner = 0;
	return h;
}

__weak u64 tid_task_alloc(struct task_struct *p)
{
	struct tid_val *v = bpf_task_storage_get(&tid_vals, p, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	struct tid_hdr __arena *h;

	if (!v)
		return 0;
	h = tid_get(&tid_alloc);
	if (!h)
		return 0;
	v->tid = h->tid;
	v->tptr = (u64)p;
	v->data = (u64)h;
	return (u64)&h->payload;
}

__weak u64 tid_task_data(struct task_struct *p)
{
	struct tid_val *v = bpf_task_storage_get(&tid_vals, p, NULL, 0);

	if (!v || !v->data)
		return 0;
	return v->data + sizeof(struct tid_hdr);
}

__weak int tid_task_free(struct task_struct *p)
{
	struct tid_val *v = bpf_task_storage_get(&tid_vals, p, NULL, 0);
	struct tid_hdr __arena *h;
	struct tid_chunk __arena *c;

	if (!v)
		return -2;
	h = (struct tid_hdr __arena *)v->data;
	if (!h || h->tid != v->tid)
		return -2;
	for (c = (struct tid_chunk __arena *)tid_alloc.chunk; c && can_loop(); c = (struct tid_chunk __arena *)c->next)
		if (c->data[h->tid & 63] == (u64)h)
			c->used &= ~(1ULL << (h->tid & 63));
	v->data = 0;
	tid_alloc.nr_live--;
	return 0;
}
