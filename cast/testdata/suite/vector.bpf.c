// SPDX-License-Identifier: GPL-2.0
/* A growing array of untyped pointers, that each user has one of, for one type. */
#include "suite.h"
ARENA_MAP;

struct vec {
	void __arena *__arena *items;
	u64 len; /* truth: vec.len number */
	u64 cap; /* truth: vec.cap number */
};
struct flow {
	u64 bytes; /* truth: flow.bytes number */
	u32 id;
	u32 prio;
	struct flow __arena *peer;
};
struct users {
	struct vec flows;
	struct flow __arena *hottest;
};
struct users users;

static __noinline int vec_push(struct vec *v, void __arena *item)
{
	if (v->len >= v->cap) {
		void __arena *__arena *items = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

		if (!items)
			return -1;
		for_times(i, 64)
			if (i < v->len && v->items)
				items[i] = v->items[i];
		v->items = items;
		v->cap = 512;
	}
	v->items[v->len++ & 511] = item;
	return 0;
}

__weak int flow_pair(struct flow __arena *a __arg_arena, struct flow __arena *b __arg_arena)
{
	if (!a || !b)
		return -1;
	a->peer = b;
	b->peer = a;
	return 0;
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct flow __arena *f = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

	if (!f)
		return;
	f->id = p->pid;
	f->prio = 2;
	vec_push(&users.flows, f);
	flow_pair(f, users.hottest);
	if (!users.hottest || f->bytes > users.hottest->bytes)
		users.hottest = f;
}

SEC("struct_ops/dispatch")
void dispatch(u64 *ctx)
{
	struct flow __arena *f;

	if (!users.flows.items)
		return;
	f = users.flows.items[bpf_get_prandom_u32() & 511];
	if (f && f->peer)
		f->peer->bytes++;
}
SCHED(.enqueue = (void *)enqueue, .dispatch = (void *)dispatch);
