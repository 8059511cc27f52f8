// SPDX-License-Identifier: GPL-2.0
/* A treap, half of whose pointers have types: untyped are those that are
 * shared with programs of other languages. */
#include "scx.h"

LICENSE();
ARENA(256);

struct treap_node {
	struct treap_node __arena *left;
	struct treap_node __arena *right;
	u64 up; /* truth treap_node.up -> struct treap_node (arena) */
	u64 prio; /* none treap_node.prio */
	u64 key;
	void __arena *entity; /* truth treap_node.entity -> struct entity (arena) */
};

struct entity {
	u64 node; /* truth entity.node -> struct treap_node (arena) */
	u64 runq; /* truth entity.runq -> struct runq (arena) */
	u64 vruntime;
	s32 pid;
	u32 weight;
};
DESCRIBE(entity);

struct runq {
	struct treap_node __arena *root;
	u64 min_vruntime; /* none runq.min_vruntime */
	void __arena *curr; /* truth runq.curr -> struct entity (arena) */
	u64 next; /* truth runq.next -> struct entity (arena) */
	u32 nr;
	u32 cpu;
};

struct percpu {
	void __arena *rq; /* truth percpu.rq -> struct runq (arena) */
};

MAP(percpus, BPF_MAP_TYPE_PERCPU_ARRAY, 1, u32, struct percpu);
STORAGE(entities, BPF_MAP_TYPE_TASK_STORAGE, u64); /* truth entities -> struct entity (arena) */

static struct treap_node __arena *rotate_up(struct treap_node __arena *n)
{
	struct treap_node __arena *up = (struct treap_node __arena *)n->up, *inner;

	if (!up)
		return n;
	if (up->left == n) {
		inner = n->right;
		n->right = up;
		up->left = inner;
	} else {
		inner = n->left;
		n->left = up;
		up->right = inner;
	}
	if (inner)
		inner->up = (u64)up;
	n->up = up->up;
	up->up = (u64)n;
	return n;
}

static __noinline int treap_insert(struct runq __arena *rq, struct treap_node __arena *n)
{
	struct treap_node __arena *at = rq->root, *up = NULL, *above;

	while (at && can_loop()) {
		up = at;
		at = n->key < at->key ? at->left : at->right;
	}
	n->left = NULL;
	n->right = NULL;
	n->up = (u64)up;
	n->prio = bpf_get_prandom_u32();
	if (!up) {
		rq->root = n;
		return 0;
	}
	if (n->key < up->key)
		up->left = n;
	else
		up->right = n;
	while (up && up->prio < n->prio && can_loop()) {
		above = (struct treap_node __arena *)up->up;
		rotate_up(n);
		if (!above)
			rq->root = n;
		else if (above->left == up)
			above->left = n;
		else
			above->right = n;
		up = above;
	}
	return 0;
}

static __noinline void pick(struct runq __arena *rq)
{
	struct treap_node __arena *n = rq->root;
	struct entity __arena *e;

	while (n && n->left && can_loop())
		n = n->left;
	if (!n)
		return;
	e = n->entity;
	if (!e)
		return;
	rq->min_vruntime = e->vruntime;
	rq->next = (u64)e;
}

OP2(s32, init_task, struct task_struct *, p, struct scx_init_task_args *, args)
{
	u64 *v = bpf_task_storage_get(&entities, p, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	struct entity __arena *e = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	struct treap_node __arena *n = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

	if (!v || !e || !n)
		return -12;
	e->pid = p->pid;
	e->weight = p->scx.weight;
	e->node = (u64)n;
	n->entity = e;
	*v = (u64)e;
	return 0;
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	u32 zero = 0;
	struct percpu *pc = bpf_map_lookup_elem(&percpus, &zero);
	u64 *v = bpf_task_storage_get(&entities, p, NULL, 0);
	struct treap_node __arena *n;
	struct runq __arena *rq;
	struct entity __arena *e;

	if (!pc || !v)
		return;
	e = (struct entity __arena *)*v;
	rq = pc->rq;
	if (!rq) {
		rq = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!rq)
			return;
		rq->cpu = bpf_get_smp_processor_id();
		pc->rq = rq;
	}
	if (!e)
		return;
	if (e->vruntime < rq->min_vruntime)
		e->vruntime = rq->min_vruntime;
	e->runq = (u64)rq;
	n = (struct treap_node __arena *)e->node;
	if (!n)
		return;
	n->key = e->vruntime;
	treap_insert(rq, n);
	rq->nr++;
}

OP2(void, stopping, struct task_struct *, p, bool, runnable)
{
	u64 *v = bpf_task_storage_get(&entities, p, NULL, 0);
	struct entity __arena *e, *curr;
	struct runq __arena *rq;

	if (!v || !*v)
		return;
	e = (struct entity __arena *)*v;
	e->vruntime += SCX_SLICE_DFL * 100 / (e->weight | 1);
	rq = (struct runq __arena *)e->runq;
	if (!rq)
		return;
	curr = rq->curr;
	if (curr && curr != e)
		curr->weight = 0;
	pick(rq);
	rq->curr = (void __arena *)rq->next;
}

OPS(DO(init_task), DO(enqueue), DO(stopping), .name = "treap_typed");
