/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A skip list by virtual time. Nodes of different heights come from a list for
 * each height; the places to change are gathered on the stack.
 */
#include "../heldout/scx.h"

ARENA(1024);

#define TOP 8

struct tower {
	u64 vtime;
	u64 owner;	/* truth tower.owner -> struct vctx (arena) */
	u32 height;
	u64 next[TOP];	/* truth tower.next[] -> struct tower (arena) */
};

struct skips {
	u64 head;	/* truth skips.head -> struct tower (arena) */
	u64 spare[TOP];	/* truth skips.spare[] -> struct tower (arena) */
	u64 level;
	u64 tail;	/* truth skips.tail -> struct tower (arena) */
};

struct vctx {
	u64 tower;	/* truth vctx.tower -> struct tower (arena) */
	u64 task;	/* truth vctx.task -> struct task_struct (kernel) */
	u64 list;	/* truth vctx.list -> struct skips (arena) */
};

struct skips __arena_global lists[4];

MAP(vctxs, BPF_MAP_TYPE_LRU_HASH, 4096, u32, u64);	/* truth vctxs -> struct vctx (arena) */

#define T(x) ((struct tower __arena *)(x))

static __noinline u64 new_tower(struct skips __arena *l, u32 height)
{
	struct tower __arena *t;
	u32 i, h = height & (TOP - 1);

	t = T(l->spare[h]);
	if (t) {
		l->spare[h] = t->next[0];
	} else {
		t = T(bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0));
		if (!t)
			return 0;
	}
	t->height = h;
	for (i = 0; i < TOP && can_loop(); i++)
		t->next[i] = 0;
	return (u64)t;
}

static __noinline int skip_add(struct skips __arena *l, u64 tower)
{
	struct tower __arena *at = T(l->head), *fresh = T(tower);
	u64 before[TOP];
	int i;

	if (!at)
		return -22;
	for (i = TOP - 1; i >= 0; i--) {
		while (at->next[i] && T(at->next[i])->vtime < fresh->vtime && can_loop())
			at = T(at->next[i]);
		before[i] = (u64)at;
	}
	for (i = 0; i < TOP; i++) {
		if (i > fresh->height)
			break;
		at = T(before[i]);
		fresh->next[i] = at->next[i];
		at->next[i] = (u64)fresh;
	}
	if (!fresh->next[0])
		l->tail = (u64)fresh;
	return 0;
}

static __noinline u64 skip_first(struct skips __arena *l)
{
	struct tower __arena *head = T(l->head), *first;
	u32 i;

	if (!head)
		return 0;
	first = T(head->next[0]);
	if (!first)
		return 0;
	for (i = 0; i < TOP && can_loop(); i++)
		if (T(head->next[i]) == first)
			head->next[i] = first->next[i];
	return (u64)first;
}

static __noinline int retire(struct skips __arena *l, u64 tower)
{
	u32 h = T(tower)->height & (TOP - 1);

	T(tower)->next[0] = l->spare[h];
	l->spare[h] = tower;
	return 0;
}

OP0(s32, init)
{
	int i;

	for (i = 0; i < 4 && can_loop(); i++) {
		lists[i].head = new_tower(&lists[i], TOP - 1);
		lists[i].tail = lists[i].head;
	}
	return 0;
}

OP2(s32, init_task, struct task_struct *, p, struct scx_init_task_args *, args)
{
	struct vctx __arena *v = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	u32 pid = p->pid;
	u64 at = (u64)v;

	if (!v)
		return -12;
	v->task = (u64)p;
	v->list = (u64)&lists[pid & 3];
	return bpf_map_update_elem(&vctxs, &pid, &at, 0);
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	u32 pid = p->pid;
	u64 *at = bpf_map_lookup_elem(&vctxs, &pid);
	struct vctx __arena *v;
	struct skips __arena *l;
	u64 t;

	if (!at || !*at)
		return;
	v = (struct vctx __arena *)*at;
	l = (struct skips __arena *)v->list;
	t = new_tower(l, bpf_get_prandom_u32());
	if (!t)
		return;
	T(t)->vtime = p->scx.dsq_vtime;
	T(t)->owner = (u64)v;
	v->tower = t;
	skip_add(l, t);
}

OP2(void, dispatch, s32, cpu, struct task_struct *, prev)
{
	struct skips __arena *l = &lists[cpu & 3];
	u64 t = skip_first(l);
	struct vctx __arena *v;

	if (!t)
		return;
	v = (struct vctx __arena *)T(t)->owner;
	v->tower = 0;
	l->level = T(l->tail)->vtime;
	retire(l, t);
}

DESCRIBE(tower);
DESCRIBE(vctx);
OPS(DO(init), DO(init_task), DO(enqueue), DO(dispatch), .name = "skips");
LICENSE();
