// SPDX-License-Identifier: GPL-2.0
/* A pairing heap for each LLC; elements are inside of task contexts. */
#include "scx.h"

LICENSE();
ARENA(512);

struct ph_node {
	u64 child; /* truth ph_node.child -> struct ph_node (arena) */
	u64 sibling; /* truth ph_node.sibling -> struct ph_node (arena) */
	u64 prev; /* truth ph_node.prev -> struct ph_node (arena) */
	u64 key;
};

struct ph_heap {
	u64 top; /* truth ph_heap.top -> struct ph_node (arena) */
	u64 nr;
};

struct task_ctx {
	s32 pid;
	u32 weight;
	u64 vruntime;
	struct ph_node ph;
	u64 heap; /* truth task_ctx.heap -> struct ph_heap (arena) */
};

struct task_ptr {
	void __arena *taskc; /* truth task_ptr.taskc -> struct task_ctx (arena) */
};

STORAGE(task_ptrs, BPF_MAP_TYPE_TASK_STORAGE, struct task_ptr);

struct ph_heap __arena *heaps[8];

static __noinline u64 ph_merge(u64 x, u64 y)
{
	struct ph_node __arena *a = (struct ph_node __arena *)x, *b = (struct ph_node __arena *)y, *t, *kid;

	if (!a)
		return y;
	if (!b)
		return x;
	if (b->key < a->key) {
		t = a;
		a = b;
		b = t;
	}
	kid = (struct ph_node __arena *)a->child;
	b->sibling = (u64)kid;
	if (kid)
		kid->prev = (u64)b;
	b->prev = (u64)a;
	a->child = (u64)b;
	a->sibling = 0;
	a->prev = 0;
	return (u64)a;
}

static __noinline struct task_ctx __arena *ph_pop(struct ph_heap __arena *h)
{
	struct ph_node __arena *top = (struct ph_node __arena *)h->top, *at, *next;
	u64 merged = 0;

	if (!top)
		return NULL;
	for (at = (struct ph_node __arena *)top->child; at && can_loop(); at = next) {
		next = (struct ph_node __arena *)at->sibling;
		merged = ph_merge(merged, (u64)at);
	}
	h->top = merged;
	h->nr--;
	return container_of(top, struct task_ctx, ph);
}

OP0(s32, init)
{
	int i;

	for (i = 0; i < 8; i++) {
		heaps[i] = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!heaps[i])
			return -12;
	}
	return 0;
}

OP2(s32, init_task, struct task_struct *, p, struct scx_init_task_args *, args)
{
	struct task_ptr *v = bpf_task_storage_get(&task_ptrs, p, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	struct task_ctx __arena *c = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

	if (!v || !c)
		return -12;
	c->pid = p->pid;
	c->weight = p->scx.weight;
	c->vruntime = 0;
	v->taskc = c;
	return 0;
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	struct task_ptr *v = bpf_task_storage_get(&task_ptrs, p, NULL, 0);
	struct task_ctx __arena *c;
	struct ph_heap __arena *h = heaps[p->pid & 7];

	if (!v || !h)
		return;
	c = v->taskc;
	if (!c)
		return;
	c->ph.key = c->vruntime;
	c->ph.child = 0;
	c->ph.sibling = 0;
	c->heap = (u64)h;
	h->top = ph_merge(h->top, (u64)&c->ph);
	h->nr++;
}

OP2(void, dispatch, s32, cpu, struct task_struct *, prev)
{
	struct ph_heap __arena *h = heaps[cpu & 7], *home;
	struct task_ctx __arena *c;

	if (!h)
		return;
	c = ph_pop(h);
	if (!c)
		return;
	c->vruntime += SCX_SLICE_DFL * 100 / (c->weight | 1);
	home = (struct ph_heap __arena *)c->heap;
	if (home && home != h)
		home->nr--;
}

OPS(DO(init), DO(init_task), DO(enqueue), DO(dispatch), .name = "pairing");
