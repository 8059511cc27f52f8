// SPDX-License-Identifier: GPL-2.0
/* The tree of cgroups with shares: first child and siblings, found from the storage of a cgroup. */
#include "../heldout/scx.h"

LICENSE();
ARENA(1024);

struct cg {
	u64 parent; /* truth cg.parent -> struct cg (arena) */
	u64 child; /* truth cg.child -> struct cg (arena) */
	u64 sibling; /* truth cg.sibling -> struct cg (arena) */
	u64 cgrp; /* truth cg.cgrp -> struct cgroup (kernel) */
	u64 id; /* none cg.id */
	u64 path_hash; /* none cg.path_hash */
	u64 vtime;
	u64 quota; /* truth cg.quota -> struct cg_quota (arena) */
	u32 weight;
	u32 weight_sum;
};

struct cg_quota {
	u64 limit;
	u64 used;
	u64 owner; /* the cgroup it was set for */ /* truth cg_quota.owner -> struct cg (arena) */
};

struct cg_val {
	u64 cg; /* truth cg_val.cg -> struct cg (arena) */
	u64 serial; /* none cg_val.serial */
};

struct tg_val {
	u64 cg; /* truth tg_val.cg -> struct cg (arena) */
	u64 cgid; /* none tg_val.cgid */
};

STORAGE(cgs, BPF_MAP_TYPE_CGRP_STORAGE, struct cg_val);
STORAGE(tgs, BPF_MAP_TYPE_TASK_STORAGE, struct tg_val);

u64 root_cg; /* truth .bss.root_cg -> struct cg (arena) */
u64 serial; /* none .bss.serial */

static __always_inline struct cg __arena *cg_of(struct cgroup *cgrp)
{
	struct cg_val *v = bpf_cgrp_storage_get(&cgs, cgrp, NULL, 0);

	return v ? (struct cg __arena *)v->cg : NULL;
}

static __noinline struct cg_quota __arena *quota_of(struct cg __arena *c)
{
	while (c && can_loop()) {
		if (c->quota)
			return (struct cg_quota __arena *)c->quota;
		c = (struct cg __arena *)c->parent;
	}
	return NULL;
}

static __noinline int cg_attach(struct cg __arena *c, struct cg __arena *parent)
{
	c->parent = (u64)parent;
	if (!parent) {
		root_cg = (u64)c;
		return 0;
	}
	c->sibling = parent->child;
	parent->child = (u64)c;
	parent->weight_sum += c->weight;
	c->path_hash = parent->path_hash * 31 + c->id;
	return 0;
}

static __noinline int cg_detach(struct cg __arena *c)
{
	struct cg __arena *parent = (struct cg __arena *)c->parent, *at;

	if (!parent)
		return -1;
	parent->weight_sum -= c->weight;
	at = (struct cg __arena *)parent->child;
	if (at == c) {
		parent->child = c->sibling;
		return 0;
	}
	for (; at && can_loop(); at = (struct cg __arena *)at->sibling)
		if (at->sibling == (u64)c) {
			at->sibling = c->sibling;
			return 0;
		}
	return -2;
}

/* The walk goes down first, then aside, then up. */
static __noinline u64 least_vtime(void)
{
	struct cg __arena *c = (struct cg __arena *)root_cg;
	u64 least = ~0ULL;

	while (c && can_loop()) {
		if (c->vtime < least)
			least = c->vtime;
		if (c->child) {
			c = (struct cg __arena *)c->child;
			continue;
		}
		while (c && !c->sibling && can_loop())
			c = (struct cg __arena *)c->parent;
		if (c)
			c = (struct cg __arena *)c->sibling;
	}
	return least;
}

OP2(s32, cgroup_init, struct cgroup *, cgrp, struct scx_cgroup_init_args *, args)
{
	struct cg_val *v = bpf_cgrp_storage_get(&cgs, cgrp, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	struct cg __arena *c, *parent = NULL;
	struct cg_quota __arena *quota;
	struct cgroup *up;

	if (!v)
		return -12;
	c = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!c)
		return -12;
	c->weight = args->weight;
	c->cgrp = (u64)cgrp;
	c->id = cgrp->kn->id;
	if (cgrp->level > 0) {
		up = bpf_cgroup_ancestor(cgrp, cgrp->level - 1);
		if (up) {
			parent = cg_of(up);
			bpf_cgroup_release(up);
		}
	}
	if (c->weight > 1000) {
		quota = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!quota)
			return -12;
		quota->limit = c->weight * 1000ULL;
		quota->owner = (u64)c;
		c->quota = (u64)quota;
	}
	v->cg = (u64)c;
	v->serial = ++serial;
	return cg_attach(c, parent);
}

OP1(void, cgroup_exit, struct cgroup *, cgrp)
{
	struct cg __arena *c = cg_of(cgrp);

	if (!c)
		return;
	cg_detach(c);
	bpf_arena_free_pages(&arena, c, 1);
}

OP3(void, cgroup_move, struct task_struct *, p, struct cgroup *, from, struct cgroup *, to)
{
	struct tg_val *t = bpf_task_storage_get(&tgs, p, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (!t)
		return;
	t->cg = (u64)cg_of(to);
	t->cgid = to->kn->id;
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	struct tg_val *t = bpf_task_storage_get(&tgs, p, NULL, 0);
	struct cg_quota __arena *q;
	struct cg __arena *c;
	u64 vtime;

	if (!t || !t->cg)
		return;
	c = (struct cg __arena *)t->cg;
	vtime = least_vtime();
	if (c->vtime < vtime)
		c->vtime = vtime;
	q = quota_of(c);
	if (q && q->used > q->limit && q->owner)
		((struct cg __arena *)q->owner)->vtime += SCX_SLICE_DFL;
	scx_bpf_dsq_insert_vtime(p, 0, SCX_SLICE_DFL, c->vtime, flags);
}

OPS(DO(cgroup_init), DO(cgroup_exit), DO(cgroup_move), DO(enqueue), .name = "cgrp_shares");
