/* SPDX-License-Identifier: GPL-2.0 */
/* The library: it hands out memory as numbers. */
#include "task_ctx.h"

ARENA(4096);

struct task_slot {
	u64 data;	/* truth task_slot.data -> struct task_data (arena) */
	u64 id;
};
STORAGE(task_slots, BPF_MAP_TYPE_TASK_STORAGE, struct task_slot);

struct cgrp_slot {
	u64 data;	/* truth cgrp_slot.data -> struct cgrp_data (arena) */
	u64 id;
};
STORAGE(cgrp_slots, BPF_MAP_TYPE_CGRP_STORAGE, struct cgrp_slot);

u64 chunk;	/* none .bss.chunk */
u64 chunk_off;
u64 next_id;

__weak int lib_init(void)
{
	chunk = (u64)bpf_arena_alloc_pages(&arena, NULL, 16, -1, 0);
	chunk_off = 0;
	return chunk ? 0 : -12;
}

__weak u64 lib_alloc(u64 size)
{
	u64 at;

	size = (size + 7) & ~7ULL;
	if (chunk_off + size > 16 * 4096 && lib_init())
		return 0;
	at = chunk + chunk_off;
	chunk_off += size;
	return at;
}

__weak u64 task_alloc(struct task_struct *p, u64 size)
{
	struct task_slot *s = bpf_task_storage_get(&task_slots, p, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (!s)
		return 0;
	s->data = lib_alloc(size);
	s->id = __sync_fetch_and_add(&next_id, 1);
	return s->data;
}

__weak u64 task_data_of(struct task_struct *p)
{
	struct task_slot *s = bpf_task_storage_get(&task_slots, p, NULL, 0);

	if (!s)
		return 0;
	return s->data;
}

__weak void task_free(struct task_struct *p)
{
	bpf_task_storage_delete(&task_slots, p);
}

__weak u64 cgrp_alloc(struct cgroup *cgrp, u64 size)
{
	struct cgrp_slot *s = bpf_cgrp_storage_get(&cgrp_slots, cgrp, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (!s)
		return 0;
	s->data = lib_alloc(size);
	s->id = cgrp->kn->id;
	return s->data;
}

__weak u64 cgrp_data_of(struct cgroup *cgrp)
{
	struct cgrp_slot *s = bpf_cgrp_storage_get(&cgrp_slots, cgrp, NULL, 0);

	return s ? s->data : 0;
}

__weak u64 bits_alloc(void)
{
	return lib_alloc(sizeof(struct cpubits));
}

__weak int bits_copy(u64 to, u64 from)
{
	struct cpubits __arena *a = (struct cpubits __arena *)to;
	struct cpubits __arena *b = (struct cpubits __arena *)from;
	int i;

	for (i = 0; i < 8 && can_loop(); i++)
		a->bits[i] = b->bits[i];
	return 0;
}

__weak int bits_set(u64 to, u32 bit)
{
	((struct cpubits __arena *)to)->bits[(bit / 64) & 7] |= 1ULL << (bit % 64);
	return 0;
}

LICENSE();
