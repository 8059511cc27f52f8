/* SPDX-License-Identifier: GPL-2.0 */
/* The user's unit: lists of layers and of tasks' contexts. */
#include "visit.h"

ARENA(512);

struct layer {
	u64 match;	/* truth layer.match -> struct matcher (arena) */
	u64 kn_id;
	u64 members;
	u64 first;	/* truth layer.first -> struct member (arena) */
};

struct matcher {
	u64 layer;	/* truth matcher.layer -> struct layer (arena) */
	u32 kind;
};

struct member {
	u64 layer;	/* truth member.layer -> struct layer (arena) */
	u64 task;	/* truth member.task -> struct task_struct (kernel) */
	u64 next;	/* truth member.next -> struct member (arena) */
	u64 ran;
};

struct vlist __arena_global layers;
struct vlist __arena_global members;

struct pick {
	u64 task;	/* truth pick.task -> struct task_struct (kernel) */
	u64 best;	/* truth pick.best -> struct member (arena) */
	u64 layer;	/* truth pick.layer -> struct layer (arena) */
	u64 at;		/* truth pick.at -> struct member (arena) */
	u64 most;
};

static long pick_step(u32 i, struct pick *k)
{
	struct member __arena *m = (struct member __arena *)k->at;

	if (!m)
		return 1;
	if (m->ran >= k->most) {
		k->most = m->ran;
		k->best = k->at;
		k->task = m->task;
	}
	k->at = m->next;
	return 0;
}

struct sweep {
	u64 layer;	/* truth sweep.layer -> struct layer (arena) */
	u64 total;
};

MAP(by_pid, BPF_MAP_TYPE_HASH, 4096, s32, u64);	/* truth by_pid -> struct member (arena) */

static long sweep_step(void *map, s32 *pid, u64 *at, struct sweep *s)
{
	struct member __arena *m = (struct member __arena *)*at;

	if (m && m->layer == s->layer)
		s->total += m->ran;
	return 0;
}

OP0(s32, init)
{
	int i;

	for (i = 0; i < 4 && can_loop(); i++) {
		struct layer __arena *l = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		struct matcher __arena *m = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

		vlist_give_page((u64)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0));
		if (!l || !m)
			return -12;
		l->match = (u64)m;
		l->kn_id = i;
		m->layer = (u64)l;
		m->kind = i;
		vlist_add(&layers, (u64)l, i);
	}
	return 0;
}

OP2(s32, init_task, struct task_struct *, p, struct scx_init_task_args *, args)
{
	struct layer __arena *l = (struct layer __arena *)vlist_find(&layers, p->pid & 3);
	struct member __arena *m = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	s32 pid = p->pid;
	u64 at = (u64)m;

	if (!l || !m)
		return -12;
	m->layer = (u64)l;
	m->task = (u64)p;
	m->next = l->first;
	l->first = (u64)m;
	l->members++;
	((struct matcher __arena *)l->match)->kind |= 4;
	vlist_add(&members, (u64)m, p->pid);
	return bpf_map_update_elem(&by_pid, &pid, &at, 0);
}

OP1(void, stopping, struct task_struct *, p)
{
	struct member __arena *m = (struct member __arena *)vlist_find(&members, p->pid);

	if (m)
		m->ran += p->scx.slice;
}

OP2(void, dispatch, s32, cpu, struct task_struct *, prev)
{
	struct layer __arena *l = (struct layer __arena *)vlist_find(&layers, cpu & 3);
	struct pick k = {};
	struct sweep s = {};

	if (!l)
		return;
	k.at = l->first;
	k.layer = (u64)l;
	bpf_loop(l->members & 0xfff, pick_step, &k, 0);
	s.layer = k.layer;
	bpf_for_each_map_elem(&by_pid, sweep_step, &s, 0);
	if (k.best)
		((struct member __arena *)k.best)->ran -= s.total;
	if (k.task == (u64)prev)
		scx_bpf_kick_cpu(cpu, 0);
}

DESCRIBE(layer);
DESCRIBE(matcher);
DESCRIBE(member);
OPS(DO(init), DO(init_task), DO(stopping), DO(dispatch), .name = "visit");
