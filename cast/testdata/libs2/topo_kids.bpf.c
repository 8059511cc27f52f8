/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A topology that user space builds, node by node, through a syscall program: children in an
 * array, bitmaps of CPUs in the arena, and for each CPU the node that is its own.
 */
#include "../heldout/scx.h"

ARENA(1024);

#define MAX_KIDS 16
#define LEVELS 5

struct bitmap {
	u64 bits[8];
};

struct tnode {
	u64 parent;		/* truth tnode.parent -> struct tnode (arena) */
	u64 kids[MAX_KIDS];	/* truth tnode.kids[] -> struct tnode (arena) */
	u64 nr_kids;
	u64 mask;		/* truth tnode.mask -> struct bitmap (arena) */
	u64 data;		/* truth tnode.data -> struct domain (arena) */
	u64 sibling;		/* truth tnode.sibling -> struct tnode (arena) */
	u32 level;
	u32 id;
};

struct domain {
	u64 node;	/* truth domain.node -> struct tnode (arena) */
	u64 load;
	u64 dsq;
};

struct add_args {
	u64 parent;	/* truth add_args.parent -> struct tnode (arena) */
	u64 made;	/* truth add_args.made -> struct tnode (arena) */
	u64 mask;	/* truth add_args.mask -> struct bitmap (arena) */
	u32 level;
	u32 id;
};

u64 topo_all;			/* truth .bss.topo_all -> struct tnode (arena) */
u64 topo_cpu[512];		/* truth .bss.topo_cpu[] -> struct tnode (arena) */
u64 topo_last[LEVELS];		/* truth .bss.topo_last[] -> struct tnode (arena) */
u64 domain_size = sizeof(struct domain);

static __noinline int mask_set(u64 mask, u32 bit)
{
	struct bitmap __arena *b = (struct bitmap __arena *)mask;

	b->bits[(bit / 64) & 7] |= 1ULL << (bit % 64);
	return 0;
}

static __noinline bool mask_test(u64 mask, u32 bit)
{
	struct bitmap __arena *b = (struct bitmap __arena *)mask;

	return b->bits[(bit / 64) & 7] >> (bit % 64) & 1;
}

static __noinline u64 node_new(u64 parent, u32 level, u32 id)
{
	struct tnode __arena *n = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	struct tnode __arena *p = (struct tnode __arena *)parent;

	if (!n || level >= LEVELS)
		return 0;
	n->mask = (u64)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	n->level = level;
	n->id = id;
	n->parent = parent;
	n->sibling = topo_last[level];
	topo_last[level] = (u64)n;
	if (!p)
		topo_all = (u64)n;
	else if (p->nr_kids < MAX_KIDS)
		p->kids[p->nr_kids++] = (u64)n;
	return (u64)n;
}

SEC("syscall") int topo_add(struct add_args *args)
{
	u64 at, n = node_new(args->parent, args->level, args->id);

	if (!n)
		return -12;
	args->made = n;
	args->mask = ((struct tnode __arena *)n)->mask;
	if (args->level == LEVELS - 1) {
		topo_cpu[args->id & 511] = n;
		for (at = n; at && can_loop(); at = ((struct tnode __arena *)at)->parent)
			mask_set(((struct tnode __arena *)at)->mask, args->id);
	}
	return 0;
}

/* Finds the node of a level that has a CPU, from the top. */
static __noinline u64 topo_find(u32 level, u32 cpu)
{
	u64 at = topo_all;
	u32 i;

	while (at && can_loop()) {
		struct tnode __arena *n = (struct tnode __arena *)at;

		if (n->level == level)
			return at;
		at = 0;
		for (i = 0; i < MAX_KIDS && can_loop(); i++) {
			u64 kid = n->kids[i];

			if (kid && mask_test(((struct tnode __arena *)kid)->mask, cpu)) {
				at = kid;
				break;
			}
		}
	}
	return 0;
}

static __noinline struct domain __arena *domain_of(u32 cpu)
{
	struct tnode __arena *n = (struct tnode __arena *)topo_find(2, cpu);
	struct domain __arena *d;

	if (!n)
		return NULL;
	if (n->data)
		return (struct domain __arena *)n->data;
	d = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!d)
		return NULL;
	d->node = (u64)n;
	d->dsq = n->id;
	n->data = (u64)d;
	return d;
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	struct domain __arena *d = domain_of(scx_bpf_task_cpu(p));

	if (!d)
		return;
	d->load += p->scx.weight;
	scx_bpf_dsq_insert(p, d->dsq, SCX_SLICE_DFL, flags);
}

OP2(void, dispatch, s32, cpu, struct task_struct *, prev)
{
	struct tnode __arena *n = (struct tnode __arena *)topo_cpu[cpu & 511];
	struct domain __arena *d;

	while (n && can_loop()) {
		d = (struct domain __arena *)n->data;
		if (d && scx_bpf_dsq_move_to_local(d->dsq))
			return;
		n = (struct tnode __arena *)n->parent;
	}
}

DESCRIBE(tnode);
DESCRIBE(bitmap);
DESCRIBE(domain);
OPS(DO(enqueue), DO(dispatch), .name = "topo_kids");
LICENSE();
