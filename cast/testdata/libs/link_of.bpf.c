/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A binary tree whose links are reached through their address: the place to
 * change is "less ? &left : &right", or the root. Nodes come from a free list,
 * whose link shares its word with the node's number.
 */
#include "../heldout/scx.h"

ARENA(512);

struct leafn {
	union {
		u64 number;
		u64 next_free;	/* truth leafn.next_free -> struct leafn (arena) */
	};
	u64 left;	/* truth leafn.left -> struct leafn (arena) */
	u64 right;	/* truth leafn.right -> struct leafn (arena) */
	u64 group;	/* truth leafn.group -> struct cgrp_ctx (arena) */
	u32 weight;
};

struct cgrp_ctx {
	u64 node;	/* truth cgrp_ctx.node -> struct leafn (arena) */
	u64 kn_id;
	u64 budget;
};

struct grove {
	u64 root;	/* truth grove.root -> struct leafn (arena) */
	u64 spare;	/* truth grove.spare -> struct leafn (arena) */
	u64 last;	/* truth grove.last -> struct leafn (arena) */
	u64 numbers;
};

struct grove __arena_global grove;

struct cstore {
	u64 ctx;	/* truth cstore.ctx -> struct cgrp_ctx (arena) */
};
STORAGE(cstores, BPF_MAP_TYPE_CGRP_STORAGE, struct cstore);

static __noinline u64 get_node(void)
{
	struct leafn __arena *n = (struct leafn __arena *)grove.spare;
	int i;

	if (!n) {
		struct leafn __arena *page = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

		if (!page)
			return 0;
		for (i = 0; i < 64 && can_loop(); i++) {
			page[i].next_free = grove.spare;
			grove.spare = (u64)&page[i];
		}
		n = (struct leafn __arena *)grove.spare;
	}
	grove.spare = n->next_free;
	n->number = ++grove.numbers;
	n->left = n->right = 0;
	return (u64)n;
}

static __noinline int put_node(u64 node)
{
	struct leafn __arena *n = (struct leafn __arena *)node;

	n->group = 0;
	n->next_free = grove.spare;
	grove.spare = node;
	return 0;
}

static __noinline int plant(u64 node, u64 id)
{
	struct leafn __arena *n = (struct leafn __arena *)node;
	u64 __arena *link = &grove.root;

	while (*link && can_loop()) {
		struct leafn __arena *at = (struct leafn __arena *)*link;

		link = ((struct cgrp_ctx __arena *)at->group)->kn_id > id ? &at->left : &at->right;
	}
	*link = node;
	grove.last = node;
	n->weight = 100;
	return 0;
}

static __noinline u64 __arena *link_to(u64 id)
{
	u64 __arena *link = &grove.root;
	struct leafn __arena *at;

	while (can_loop()) {
		at = (struct leafn __arena *)*link;
		if (!at)
			return NULL;
		if (((struct cgrp_ctx __arena *)at->group)->kn_id == id)
			return link;
		if (((struct cgrp_ctx __arena *)at->group)->kn_id > id)
			link = &at->left;
		else
			link = &at->right;
	}
	return NULL;
}

static __noinline int uproot(u64 id)
{
	u64 __arena *link = link_to(id), *least;
	struct leafn __arena *gone, *n;

	if (!link)
		return -2;
	gone = (struct leafn __arena *)*link;
	if (!gone->left) {
		*link = gone->right;
	} else if (!gone->right) {
		*link = gone->left;
	} else {
		least = &gone->right;
		while (((struct leafn __arena *)*least)->left && can_loop())
			least = &((struct leafn __arena *)*least)->left;
		n = (struct leafn __arena *)*least;
		*least = n->right;
		n->left = gone->left;
		n->right = gone->right;
		*link = (u64)n;
	}
	return put_node((u64)gone);
}

OP2(s32, cgroup_init, struct cgroup *, cgrp, struct scx_cgroup_init_args *, args)
{
	struct cstore *s = bpf_cgrp_storage_get(&cstores, cgrp, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	struct cgrp_ctx __arena *c;
	struct leafn __arena *n;

	if (!s)
		return -12;
	c = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	n = (struct leafn __arena *)get_node();
	if (!c || !n)
		return -12;
	c->kn_id = cgrp->kn->id;
	c->node = (u64)n;
	n->group = (u64)c;
	s->ctx = (u64)c;
	return plant((u64)n, c->kn_id);
}

OP1(void, cgroup_exit, struct cgroup *, cgrp)
{
	struct cstore *s = bpf_cgrp_storage_get(&cstores, cgrp, NULL, 0);

	if (s && s->ctx)
		uproot(((struct cgrp_ctx __arena *)s->ctx)->kn_id);
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	struct cgroup *cgrp = scx_bpf_task_cgroup(p);
	struct cstore *s = bpf_cgrp_storage_get(&cstores, cgrp, NULL, 0);

	if (s && s->ctx) {
		struct cgrp_ctx __arena *c = (struct cgrp_ctx __arena *)s->ctx;

		c->budget += ((struct leafn __arena *)c->node)->weight;
	}
	bpf_cgroup_release(cgrp);
}

DESCRIBE(leafn);
DESCRIBE(cgrp_ctx);
OPS(DO(cgroup_init), DO(cgroup_exit), DO(enqueue), .name = "link_of");
LICENSE();
