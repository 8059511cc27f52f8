// SPDX-License-Identifier: GPL-2.0
/* Processes by tgid: a directory of tables of leaves, and a tree whose slots hold inner nodes or leaves. */
#include "../heldout/scx.h"

LICENSE();
ARENA(4096);

#define FANOUT 64
#define BITS 6

struct proc {
	u64 runtime;
	u64 nr_threads;
	u64 comm_hash; /* none proc.comm_hash */
	u64 in; /* truth proc.in -> struct ptable (arena) */
	s32 tgid;
	u32 weight;
};

struct ptable {
	u64 used; /* a bit for each entry */ /* none ptable.used */
	u64 dir; /* truth ptable.dir -> struct pdir (arena) */
	u64 procs[FANOUT]; /* truth ptable.procs[] -> struct proc (arena) */
};

struct pdir {
	u64 tables[FANOUT]; /* truth pdir.tables[] -> struct ptable (arena) */
	u64 last; /* truth pdir.last -> struct proc (arena) */
	u64 span; /* none pdir.span */
};

/* Inner nodes and leaves of the tree; the lowest bit of a slot tells which. */
struct inner {
	u64 slot[4]; /* none inner.slot[] */
	u64 over; /* truth inner.over -> struct inner (arena) */
	u32 shift;
};
DESCRIBE(inner);

struct node_map {
	u64 head; /* truth node_map.head -> struct inner (arena) */
	u64 hits;
};

struct pdir __arena *dir;
struct node_map procs_by_node;

static __noinline struct ptable __arena *table_of(struct pdir __arena *d, u32 tgid, bool create)
{
	u32 at = (tgid >> BITS) & (FANOUT - 1);
	struct ptable __arena *t = (struct ptable __arena *)d->tables[at];

	if (t || !create)
		return t;
	t = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!t)
		return NULL;
	t->dir = (u64)d;
	d->tables[at] = (u64)t;
	return t;
}

static __noinline struct proc __arena *proc_get(u32 tgid, bool create)
{
	struct ptable __arena *t;
	struct proc __arena *pr;
	u32 at = tgid & (FANOUT - 1);

	if (!dir)
		return NULL;
	pr = (struct proc __arena *)dir->last;
	if (pr && pr->tgid == tgid)
		return pr;
	t = table_of(dir, tgid, create);
	if (!t)
		return NULL;
	pr = (struct proc __arena *)t->procs[at];
	if (pr || !create)
		return pr;
	pr = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!pr)
		return NULL;
	pr->tgid = tgid;
	pr->in = (u64)t;
	t->procs[at] = (u64)pr;
	t->used |= 1ULL << at;
	dir->last = (u64)pr;
	return pr;
}

static __noinline int proc_put(struct proc __arena *pr)
{
	struct ptable __arena *t = (struct ptable __arena *)pr->in;
	struct pdir __arena *d;
	u32 at = pr->tgid & (FANOUT - 1);

	t->used &= ~(1ULL << at);
	t->procs[at] = 0;
	d = (struct pdir __arena *)t->dir;
	if (d->last == (u64)pr)
		d->last = 0;
	if (!t->used) {
		d->tables[(pr->tgid >> BITS) & (FANOUT - 1)] = 0;
		bpf_arena_free_pages(&arena, t, 1);
	}
	bpf_arena_free_pages(&arena, pr, 1);
	return 0;
}

static __noinline int tree_put(u32 key, struct proc __arena *pr)
{
	struct inner __arena *n = (struct inner __arena *)procs_by_node.head, *below;
	u64 word;
	u32 at;

	while (n && can_loop()) {
		at = (key >> n->shift) & 3;
		word = n->slot[at];
		if (!n->shift) {
			n->slot[at] = (u64)pr | 1;
			return 0;
		}
		if (!word) {
			below = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
			if (!below)
				return -12;
			below->shift = n->shift - 2;
			below->over = (u64)n;
			n->slot[at] = word = (u64)below;
		}
		n = (struct inner __arena *)word;
	}
	return -22;
}

static __noinline u64 tree_runtime(u32 key)
{
	struct inner __arena *n = (struct inner __arena *)procs_by_node.head;
	struct proc __arena *pr;
	u64 word;

	while (n && can_loop()) {
		word = n->slot[(key >> n->shift) & 3];
		if (word & 1) {
			pr = (struct proc __arena *)(word - 1);
			if (n->over && ((struct inner __arena *)n->over)->shift)
				procs_by_node.hits++;
			return pr->runtime;
		}
		n = (struct inner __arena *)word;
	}
	return 0;
}

OP0(s32, init)
{
	struct inner __arena *top = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

	dir = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!dir || !top)
		return -12;
	dir->span = FANOUT * FANOUT;
	top->shift = 8;
	procs_by_node.head = (u64)top;
	return 0;
}

OP2(s32, init_task, struct task_struct *, p, struct scx_init_task_args *, args)
{
	struct proc __arena *pr = proc_get(p->tgid, true);

	if (!pr)
		return -12;
	pr->nr_threads++;
	pr->comm_hash = pr->comm_hash * 31 + p->pid;
	return tree_put(p->tgid, pr);
}

OP2(void, stopping, struct task_struct *, p, bool, runnable)
{
	struct proc __arena *pr = proc_get(p->tgid, false);

	if (pr)
		pr->runtime += SCX_SLICE_DFL - p->scx.slice;
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	scx_bpf_dsq_insert_vtime(p, 0, SCX_SLICE_DFL, tree_runtime(p->tgid), flags);
}

OP2(void, exit_task, struct task_struct *, p, struct scx_exit_task_args *, args)
{
	struct proc __arena *pr = proc_get(p->tgid, false);

	if (pr && !--pr->nr_threads)
		proc_put(pr);
}

OPS(DO(init), DO(init_task), DO(stopping), DO(enqueue), DO(exit_task), .name = "radix_tgid");
