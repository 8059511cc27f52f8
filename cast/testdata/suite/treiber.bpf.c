// SPDX-License-Identifier: GPL-2.0
/* A lock-free stack, and a pair of buffers that are exchanged. */
#include "suite.h"
ARENA_MAP;

struct item {
	struct item __arena *next;
	struct task_struct *task;
	u64 cookie; /* truth: item.cookie number */
};
struct buf {
	u64 seq;
	struct item __arena *top;
	u32 nr;
};
struct state {
	u64 version;
	struct buf __arena *active;
	struct buf __arena *idle;
};
struct state state;
struct item __arena *spare;

static __noinline void push(struct item __arena *it)
{
	struct item __arena *old = state.active ? state.active->top : NULL;

	for_times(i, 16) {
		struct buf __arena *b = state.active;

		if (!b)
			return;
		it->next = old;
		if (__sync_val_compare_and_swap(&b->top, old, it) == old)
			return;
		old = b->top;
	}
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct item __arena *it = __sync_lock_test_and_set(&spare, NULL);

	if (!it)
		it = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!it)
		return;
	it->task = p;
	it->cookie = bpf_get_prandom_u32() | 1ULL << 40;
	push(it);
}

SEC("struct_ops/dispatch")
void dispatch(u64 *ctx)
{
	struct buf __arena *b, *old;
	struct item __arena *it;

	b = __sync_lock_test_and_set(&state.idle, NULL);
	if (!b)
		b = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!b)
		return;
	b->nr = 0;
	b->seq = ++state.version;
	old = __sync_lock_test_and_set(&state.active, b);
	if (!old)
		return;
	it = __sync_lock_test_and_set(&old->top, NULL);
	for_times(i, 32) {
		if (!it)
			break;
		scx_bpf_dsq_insert(it->task, it->cookie, 100, 0);
		it = it->next;
	}
	spare = it;
	state.idle = old;
}
SCHED(.enqueue = (void *)enqueue, .dispatch = (void *)dispatch);
