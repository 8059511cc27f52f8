// SPDX-License-Identifier: GPL-2.0
#include "taskdata.h"

ARENA(8192);
STORAGE(td_map, BPF_MAP_TYPE_TASK_STORAGE, struct td_val);

struct td_chunk __arena *td_chunks;
u64 td_elem_size; /* none .bss.td_elem_size */
u64 td_gen; /* none .bss.td_gen */

__weak int td_setup(u64 elem_size)
{
	if (!elem_size || elem_size > 1024)
		return -22;
	td_elem_size = (elem_size + 7) & ~7ULL;
	return 0;
}

__weak void __arena *td_pages(u32 nr)
{
	return bpf_arena_alloc_pages(&arena, NULL, nr, -1, 0);
}

static __noinline struct td_chunk __arena *td_chunk_new(void)
{
	struct td_chunk __arena *c = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

	if (!c)
		return NULL;
	c->mem = (u64)bpf_arena_alloc_pages(&arena, NULL, CHUNK_ELEMS * 1024 / 4096, -1, 0);
	if (!c->mem)
		return NULL;
	c->next = (u64)td_chunks;
	td_chunks = c;
	return c;
}

static __noinline u64 td_claim(struct td_chunk __arena *c, struct td_val *v)
{
	u32 i;

	for (i = 0; i < CHUNK_ELEMS && can_loop(); i++) {
		if (c->used & (1ULL << i))
			continue;
		c->used |= 1ULL << i;
		c->tags[i] = ++td_gen << 8 | i;
		v->tag = c->tags[i];
		v->chunk = (u64)c;
		v->data = c->mem + i * td_elem_size;
		return v->data;
	}
	return 0;
}

__weak void __arena *td_alloc(struct task_struct *p __attribute__((btf_decl_tag("arg:trusted"))))
{
	struct td_val *v = bpf_task_storage_get(&td_map, p, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	struct td_chunk __arena *c;
	u64 data;

	if (!v)
		return NULL;
	for (c = td_chunks; c && can_loop(); c = (struct td_chunk __arena *)c->next) {
		data = td_claim(c, v);
		if (data)
			return (void __arena *)data;
	}
	c = td_chunk_new();
	if (!c)
		return NULL;
	return (void __arena *)td_claim(c, v);
}

__weak void __arena *td_data(struct task_struct *p __attribute__((btf_decl_tag("arg:trusted"))))
{
	struct td_val *v = bpf_task_storage_get(&td_map, p, NULL, 0);

	return v ? (void __arena *)v->data : NULL;
}

__weak int td_free(struct task_struct *p __attribute__((btf_decl_tag("arg:trusted"))))
{
	struct td_val *v = bpf_task_storage_get(&td_map, p, NULL, 0);
	struct td_chunk __arena *c;
	u32 i;

	if (!v || !v->chunk)
		return -2;
	c = (struct td_chunk __arena *)v->chunk;
	i = v->tag & (CHUNK_ELEMS - 1);
	if (c->tags[i] != v->tag)
		return -116;
	c->used &= ~(1ULL << i);
	c->tags[i] = 0;
	v->data = v->chunk = 0;
	bpf_task_storage_delete(&td_map, p);
	return 0;
}
