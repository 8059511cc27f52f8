/* SPDX-License-Identifier: GPL-2.0 */
/* The common unit: it knows the contexts' size only. */
#include "ctx_map.h"

ARENA(1024);

struct kept {
	u64 data;	/* truth kept.data -> struct qctx (arena) */
	u64 span;	/* truth kept.span -> struct span (arena) */
	u64 at;
};
STORAGE(kept, BPF_MAP_TYPE_TASK_STORAGE, struct kept);

struct by_number {
	u64 data;	/* truth by_number.data -> struct qctx (arena) */
	u64 task;	/* truth by_number.task -> struct task_struct (kernel) */
};
MAP(numbers, BPF_MAP_TYPE_HASH, 8192, u32, struct by_number);

u64 span_now;		/* truth .bss.span_now -> struct span (arena) */
u64 ctx_size;
u64 free_ctx;		/* truth .bss.free_ctx -> struct qctx (arena) */

static __noinline int more_room(void)
{
	struct span __arena *s = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	u64 room = (u64)bpf_arena_alloc_pages(&arena, NULL, 8, -1, 0);

	if (!s || !room)
		return -12;
	s->start = room;
	s->cur = 0;
	s->limit = 8 * 4096;
	s->former = span_now;
	span_now = (u64)s;
	return 0;
}

__weak int ctx_setup(u64 size)
{
	ctx_size = size;
	return more_room();
}

__weak u64 ctx_make(struct task_struct *p)
{
	struct kept *k = bpf_task_storage_get(&kept, p, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	struct span __arena *s = (struct span __arena *)span_now;
	struct by_number n = {};
	u32 pid = p->pid;
	u64 data;

	if (!k || !s)
		return 0;
	if (free_ctx) {
		data = free_ctx;
		free_ctx = *(u64 __arena *)data;
	} else {
		if (s->cur + ctx_size > s->limit && more_room())
			return 0;
		s = (struct span __arena *)span_now;
		if (!s)
			return 0;
		data = s->start + s->cur;
		s->cur += ctx_size;
	}
	k->data = data;
	k->span = (u64)s;
	k->at = bpf_ktime_get_ns();
	n.data = data;
	n.task = (u64)p;
	bpf_map_update_elem(&numbers, &pid, &n, 0);
	return data;
}

__weak u64 ctx_get(struct task_struct *p)
{
	struct kept *k = bpf_task_storage_get(&kept, p, NULL, 0);

	return k ? k->data : 0;
}

__weak u64 ctx_by_pid(u32 pid)
{
	struct by_number *n = bpf_map_lookup_elem(&numbers, &pid);

	return n ? n->data : 0;
}

__weak int ctx_drop(struct task_struct *p)
{
	struct kept *k = bpf_task_storage_get(&kept, p, NULL, 0);
	u32 pid = p->pid;

	if (!k || !k->data)
		return -2;
	*(u64 __arena *)k->data = free_ctx;
	free_ctx = k->data;
	k->data = 0;
	((struct span __arena *)k->span)->limit--;
	bpf_map_delete_elem(&numbers, &pid);
	return 0;
}

DESCRIBE(span);
LICENSE();
