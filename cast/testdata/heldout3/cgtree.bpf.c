/* SPDX-License-Identifier: GPL-2.0 */
/* The cgroups as a tree in an arena: parent, first child, siblings. A node holds
 * what the kernel gave as numbers, and cgroup storage holds the node. */
#include "scx.h"

ARENA_MAP(arena);

struct cgnode {
	struct cgnode __arena *parent;
	struct cgnode __arena *child;
	struct cgnode __arena *sibling;
	struct budget __arena *budget;
	u64 cgrp; /* truth: cgnode.cgrp -> struct cgroup (kernel) */
	u64 last_task; /* truth: cgnode.last_task -> struct task_struct (kernel) */
	u64 id;
	u32 nr_tasks;
};

typedef struct cgnode __arena cgnode_t;

struct budget {
	u64 left;
	u64 debtor; /* truth: budget.debtor -> struct cgnode (arena) */
	u64 rq; /* truth: budget.rq -> struct rq (kernel) */
};

struct cgslot {
	u64 node; /* truth: cgslot.node -> struct cgnode (arena) */
};

struct {
	__uint(type, CGRP_STORAGE);
	__uint(map_flags, 1);
	__type(key, s32);
	__type(value, struct cgslot);
} cgslots SEC(".maps");

struct {
	__uint(type, HASH);
	__uint(max_entries, 1024);
	__type(key, u64);
	__type(value, u64);
} by_id SEC(".maps"); /* truth: map by_id -> struct cgnode (arena) */

cgnode_t *root;
u64 busiest; /* truth: .bss.busiest -> struct cgnode (arena) */

static cgnode_t *node_of(struct cgroup *cgrp)
{
	struct cgslot *slot = bpf_cgrp_storage_get(&cgslots, cgrp, NULL, 0);

	return slot ? (cgnode_t *)slot->node : NULL;
}

static cgnode_t *node_new(struct cgroup *cgrp, cgnode_t *parent, u64 id)
{
	cgnode_t *n = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	struct cgslot *slot = bpf_cgrp_storage_get(&cgslots, cgrp, NULL, 1);
	u64 addr = (u64)n;

	if (!n || !slot)
		return NULL;
	n->cgrp = (u64)cgrp;
	n->id = id;
	n->budget = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	n->parent = parent;
	if (parent) {
		n->sibling = parent->child;
		parent->child = n;
	} else {
		root = n;
	}
	slot->node = addr;
	bpf_map_update_elem(&by_id, &id, &addr, 0);
	return n;
}

static __noinline void spend(struct budget __arena *b, cgnode_t *n, u64 ns)
{
	b->left -= ns;
	if ((s64)b->left < 0)
		b->debtor = (u64)n;
}

static void charge(cgnode_t *n, u64 ns)
{
	struct budget __arena *b;

	for (u32 i = 0; i < 16 && n; i++, n = n->parent) {
		b = n->budget;
		if (b)
			spend(b, n, ns);
	}
}

SEC("struct_ops/cgtree_init_task")
int cgtree_init_task(u64 *ctx)
{
	struct task_struct *p = (struct task_struct *)ARG(ctx, 0);
	struct cgroup *cgrp = (struct cgroup *)ARG(ctx, 1);
	cgnode_t *n = node_of(cgrp), *top;

	if (!n)
		n = node_new(cgrp, root, p->start_time);
	if (!n)
		return -ENOMEM;
	n->last_task = (u64)p;
	n->nr_tasks++;
	top = (cgnode_t *)busiest;
	if (!top || top->nr_tasks < n->nr_tasks)
		busiest = (u64)n;
	return 0;
}

SEC("struct_ops/cgtree_enqueue")
int cgtree_enqueue(u64 *ctx)
{
	u64 id = ARG(ctx, 1), *addr = bpf_map_lookup_elem(&by_id, &id);
	cgnode_t *n, *kid;

	if (!addr)
		return 0;
	n = (cgnode_t *)*addr;
	charge(n, 1000);
	n->budget->rq = (u64)scx_bpf_cpu_rq(bpf_get_smp_processor_id());
	kid = n->child;
	for (u32 i = 0; i < 16 && kid; i++) {
		if (core_cast(kid->last_task, struct task_struct)->pid == 1)
			return core_cast(kid->cgrp, struct cgroup)->level;
		kid = kid->sibling;
	}
	return 0;
}

SEC("struct_ops/cgtree_dispatch")
int cgtree_dispatch(u64 *ctx)
{
	struct budget __arena *b = root ? root->budget : NULL;
	cgnode_t *debtor;

	if (!b)
		return 0;
	debtor = (cgnode_t *)b->debtor;
	if (debtor)
		debtor->budget->left += 5000;
	return core_cast(b->rq, struct rq)->nr_running;
}

SEC(".struct_ops.link")
struct test_ops cgtree_ops = {
	.init_task = (void *)cgtree_init_task,
	.enqueue = (void *)cgtree_enqueue,
	.dispatch = (void *)cgtree_dispatch,
};
