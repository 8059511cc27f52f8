// SPDX-License-Identifier: GPL-2.0
/* Weights of cgroups, in a tree of contexts in the arena that follows the
 * kernel's. Storage of a cgroup has both. */
#include "scx.h"

LICENSE();
ARENA(512);

struct cgrp_ctx {
	u64 parent; /* truth cgrp_ctx.parent -> struct cgrp_ctx (arena) */
	u64 first_child; /* truth cgrp_ctx.first_child -> struct cgrp_ctx (arena) */
	u64 sibling; /* truth cgrp_ctx.sibling -> struct cgrp_ctx (arena) */
	u64 cgrp; /* truth cgrp_ctx.cgrp -> struct cgroup (kernel) */
	u64 cgid; /* none cgrp_ctx.cgid */
	u64 hweight; /* none cgrp_ctx.hweight */
	u32 weight;
	u32 nr_active;
};
DESCRIBE(cgrp_ctx);

struct cgrp_val {
	u64 ctx; /* truth cgrp_val.ctx -> struct cgrp_ctx (arena) */
	u64 kn; /* truth cgrp_val.kn -> struct kernfs_node (kernel) */
	u64 gen; /* none cgrp_val.gen */
};

struct task_val {
	u64 group; /* truth task_val.group -> struct cgrp_ctx (arena) */
	u64 cgrp_seen; /* truth task_val.cgrp_seen -> struct cgroup (kernel) */
};

STORAGE(cgrps, BPF_MAP_TYPE_CGRP_STORAGE, struct cgrp_val);
STORAGE(tasks, BPF_MAP_TYPE_TASK_STORAGE, struct task_val);

u64 root; /* truth .bss.root -> struct cgrp_ctx (arena) */
u64 hweight_gen; /* none .bss.hweight_gen */

static struct cgrp_ctx __arena *ctx_of(struct cgroup *cgrp)
{
	struct cgrp_val *v = bpf_cgrp_storage_get(&cgrps, cgrp, NULL, 0);

	return v ? (struct cgrp_ctx __arena *)v->ctx : NULL;
}

static __noinline u64 hweight_of(u64 addr)
{
	struct cgrp_ctx __arena *c = (struct cgrp_ctx __arena *)addr, *sib, *parent;
	u64 h = 65536, sum;

	for (; c && can_loop(); c = parent) {
		parent = (struct cgrp_ctx __arena *)c->parent;
		if (!parent)
			break;
		sum = 0;
		for (sib = (struct cgrp_ctx __arena *)parent->first_child; sib && can_loop(); sib = (struct cgrp_ctx __arena *)sib->sibling)
			if (sib->nr_active)
				sum += sib->weight;
		h = h * c->weight / (sum | 1);
	}
	return h;
}

OP2(s32, cgroup_init, struct cgroup *, cgrp, struct scx_cgroup_init_args *, args)
{
	struct cgrp_val *v = bpf_cgrp_storage_get(&cgrps, cgrp, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	struct cgrp_ctx __arena *c = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0), *up;
	struct cgroup *parent;

	if (!v || !c)
		return -12;
	v->ctx = (u64)c;
	v->kn = (u64)cgrp->kn;
	v->gen = hweight_gen++;
	c->weight = args->weight;
	c->cgid = cgrp->kn->id;
	c->cgrp = (u64)cgrp;
	c->nr_active = 0;
	c->first_child = 0;
	if (!cgrp->level) {
		root = (u64)c;
		return 0;
	}
	parent = bpf_cgroup_ancestor(cgrp, cgrp->level - 1);
	if (!parent)
		return -2;
	up = ctx_of(parent);
	bpf_cgroup_release(parent);
	c->parent = (u64)up;
	if (up) {
		c->sibling = up->first_child;
		up->first_child = (u64)c;
	}
	return 0;
}

OP1(void, cgroup_exit, struct cgroup *, cgrp)
{
	struct cgrp_ctx __arena *c = ctx_of(cgrp), *up, *at;

	if (!c)
		return;
	up = (struct cgrp_ctx __arena *)c->parent;
	if (!up)
		return;
	if (up->first_child == (u64)c) {
		up->first_child = c->sibling;
		return;
	}
	for (at = (struct cgrp_ctx __arena *)up->first_child; at && can_loop(); at = (struct cgrp_ctx __arena *)at->sibling)
		if (at->sibling == (u64)c) {
			at->sibling = c->sibling;
			break;
		}
}

OP3(void, cgroup_move, struct task_struct *, p, struct cgroup *, from, struct cgroup *, to)
{
	struct task_val *v = bpf_task_storage_get(&tasks, p, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	struct cgrp_ctx __arena *old;

	if (!v)
		return;
	old = (struct cgrp_ctx __arena *)v->group;
	if (old)
		old->nr_active--;
	v->group = (u64)ctx_of(to);
	v->cgrp_seen = (u64)to;
}

OP2(void, runnable, struct task_struct *, p, u64, flags)
{
	struct task_val *v = bpf_task_storage_get(&tasks, p, NULL, 0);
	struct cgrp_ctx __arena *c;

	if (!v || !v->group)
		return;
	c = (struct cgrp_ctx __arena *)v->group;
	c->nr_active++;
	c->hweight = hweight_of(v->group);
	if (root)
		((struct cgrp_ctx __arena *)root)->nr_active++;
}

OPS(DO(cgroup_init), DO(cgroup_exit), DO(cgroup_move), DO(runnable), .name = "cgroup_tree");
