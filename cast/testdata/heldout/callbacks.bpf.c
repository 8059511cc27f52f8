// SPDX-License-Identifier: GPL-2.0
/* A list with callbacks: bpf_loop steps through it, what is done with each
 * element is a function of the caller's. */
#include "scx.h"

LICENSE();
ARENA(128);

struct item {
	u64 next; /* truth item.next -> struct item (arena) */
	u64 weight;
	u64 owner; /* truth item.owner -> struct group (arena) */
};
DESCRIBE(item);

struct group {
	u64 items; /* truth group.items -> struct item (arena) */
	u64 total;
	u64 last; /* truth group.last -> struct item (arena) */
	u64 parent; /* truth group.parent -> struct group (arena) */
	u32 id;
};

struct walk {
	u64 at; /* may walk.at -> struct item (arena) */
	u64 acc;
	struct group __arena *group;
};

struct scan_state {
	u64 at; /* truth scan_state.at -> struct item (arena) */
	u64 steps;
	u64 limit; /* none scan_state.limit */
};

MAP(scans, BPF_MAP_TYPE_PERCPU_ARRAY, 1, u32, struct scan_state);
MAP(groups, BPF_MAP_TYPE_HASH, 64, u32, u64); /* truth groups -> struct group (arena) */

static int sum_step(u32 i, struct walk *w)
{
	struct item __arena *item = (struct item __arena *)w->at;

	if (!item)
		return 1;
	w->acc += item->weight;
	w->at = item->next;
	return 0;
}

static __noinline u64 sum(struct group __arena *g)
{
	struct walk w = { .at = g->items, .group = g };

	bpf_loop(1024, sum_step, &w, 0);
	return w.acc;
}

static int scan_step(u32 i, void *ctx)
{
	struct scan_state *s = *(struct scan_state **)ctx;
	struct item __arena *item = (struct item __arena *)s->at;
	struct group __arena *g;

	if (!item || s->steps >= s->limit)
		return 1;
	g = (struct group __arena *)item->owner;
	if (g)
		g->last = (u64)item;
	s->at = item->next;
	s->steps++;
	return 0;
}

static long age(void *map, u32 *key, u64 *value, u64 *now)
{
	struct group __arena *g = (struct group __arena *)*value;

	if (g)
		g->total = sum(g) - (*now >> 30);
	return 0;
}

OP2(s32, cgroup_init, struct cgroup *, cgrp, struct scx_cgroup_init_args *, args)
{
	struct group __arena *g = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	u32 id = cgrp->kn->id, root = 1;
	u64 v, *parent;

	if (!g)
		return -12;
	g->id = id;
	parent = bpf_map_lookup_elem(&groups, &root);
	g->parent = parent ? *parent : 0;
	v = (u64)g;
	return bpf_map_update_elem(&groups, &id, &v, 0);
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	u32 zero = 0, id = p->tgid & 63;
	struct scan_state *s = bpf_map_lookup_elem(&scans, &zero);
	u64 *v = bpf_map_lookup_elem(&groups, &id), now;
	struct group __arena *g, *up;
	struct item __arena *item;

	if (!s || !v)
		return;
	g = (struct group __arena *)*v;
	item = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!g || !item)
		return;
	item->weight = p->scx.weight;
	item->owner = (u64)g;
	item->next = g->items;
	g->items = (u64)item;
	up = (struct group __arena *)g->parent;
	if (up)
		up->total += item->weight;
	if (!s->at) {
		s->at = g->items;
		s->limit = 32;
		s->steps = 0;
	}
	bpf_loop(32, scan_step, &s, 0);
	now = bpf_ktime_get_ns();
	if ((now & 0xfff) == 0)
		bpf_for_each_map_elem(&groups, age, &now, 0);
}

OPS(DO(cgroup_init), DO(enqueue), .name = "callbacks");
