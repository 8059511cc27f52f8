/* SPDX-License-Identifier: GPL-2.0 */
/* The context of a task lies in an arena. Task storage holds its address, and the
 * context holds what the kernel gave: the task, its cgroup. */
#include "scx.h"

ARENA_MAP(arena);

struct slot {
	u64 tctx; /* truth: slot.tctx -> struct tctx (arena) */
	u64 born;
};

struct {
	__uint(type, TASK_STORAGE);
	__uint(map_flags, 1);
	__type(key, s32);
	__type(value, struct slot);
} task_slots SEC(".maps");

struct gang {
	struct tctx __arena *leader;
	struct gang __arena *next;
	u32 size;
};

struct tctx {
	u64 task; /* truth: tctx.task -> struct task_struct (kernel) */
	u64 cgrp; /* truth: tctx.cgrp -> struct cgroup (kernel) */
	struct gang __arena *gang;
	struct tctx __arena *next_free;
	u64 parent; /* truth: tctx.parent -> struct tctx (arena) */
	struct slice __arena *slice;
	u64 vtime;
	u32 runs;
};

struct slice {
	u64 length;
	u64 used;
	u64 taker; /* truth: slice.taker -> struct tctx (arena) */
};

typedef struct tctx __arena tctx_t;

tctx_t *free_tctx;
struct gang __arena *gangs;
u64 last_tctx; /* truth: .bss.last_tctx -> struct tctx (arena) */

static tctx_t *tctx_of(struct task_struct *p)
{
	struct slot *slot = bpf_task_storage_get(&task_slots, p, NULL, 0);

	return slot ? (tctx_t *)slot->tctx : NULL;
}

static tctx_t *tctx_alloc(void)
{
	tctx_t *t = free_tctx;

	if (t)
		free_tctx = t->next_free;
	else
		t = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	return t;
}

static void join(tctx_t *t)
{
	struct gang __arena *g = gangs;

	for (u32 i = 0; i < 16 && g; i++, g = g->next) {
		if (g->leader && g->leader->cgrp == t->cgrp) {
			t->gang = g;
			g->size++;
			return;
		}
	}
	g = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!g)
		return;
	g->leader = t;
	g->size = 1;
	g->next = gangs;
	gangs = g;
	t->gang = g;
}

static __noinline void give_slice(tctx_t *t, struct slice __arena *slice)
{
	slice->length = 20000000;
	slice->taker = (u64)t;
}

SEC("struct_ops/taskstore_init_task")
int taskstore_init_task(u64 *ctx)
{
	struct task_struct *p = (struct task_struct *)ARG(ctx, 0);
	struct cgroup *cgrp = (struct cgroup *)ARG(ctx, 1);
	struct slot *slot = bpf_task_storage_get(&task_slots, p, NULL, 1);
	tctx_t *t = tctx_alloc(), *up;

	if (!slot || !t)
		return -ENOMEM;
	up = tctx_of(bpf_get_current_task_btf());
	t->task = (u64)p;
	t->cgrp = (u64)cgrp;
	t->parent = (u64)up;
	t->slice = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	slot->tctx = (u64)t;
	slot->born = bpf_ktime_get_ns();
	last_tctx = (u64)t;
	join(t);
	return 0;
}

SEC("struct_ops/taskstore_enqueue")
int taskstore_enqueue(u64 *ctx)
{
	struct task_struct *p = (struct task_struct *)ARG(ctx, 0);
	tctx_t *t = tctx_of(p), *up;

	if (!t)
		return -ENOENT;
	up = (tctx_t *)t->parent;
	t->runs++;
	if (up && up->vtime > t->vtime)
		t->vtime = up->vtime;
	if (t->gang && t->gang->leader)
		t->vtime += t->gang->leader->runs;
	if (t->slice)
		give_slice(t, t->slice);
	return core_cast(t->cgrp, struct cgroup)->level;
}

SEC("struct_ops/taskstore_dispatch")
int taskstore_dispatch(u64 *ctx)
{
	tctx_t *t = (tctx_t *)last_tctx, *taker;

	if (!t || !t->slice)
		return 0;
	taker = (tctx_t *)t->slice->taker;
	if (taker)
		taker->slice->used++;
	return core_cast(t->task, struct task_struct)->pid;
}

SEC(".struct_ops.link")
struct test_ops taskstore_ops = {
	.init_task = (void *)taskstore_init_task,
	.enqueue = (void *)taskstore_enqueue,
	.dispatch = (void *)taskstore_dispatch,
};
