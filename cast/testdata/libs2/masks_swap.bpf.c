/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Bitmaps of CPUs in the arena, taken from a free list; a context has one in force, one to
 * build the next in, and swaps them. A task's domain is chosen by its mask, with pointers
 * returned through arguments.
 */
#include "../heldout/scx.h"

ARENA(512);

struct bits {
	union {
		u64 nr;
		u64 next_free;	/* truth bits.next_free -> struct bits (arena) */
	};
	u64 words[8];
};

struct mctx {
	void *task;			/* truth mctx.task -> struct task_struct (kernel) */
	struct bits __arena *allowed;
	u64 live;			/* truth mctx.live -> struct bits (arena) */
	u64 draft;			/* truth mctx.draft -> struct bits (arena) */
	u64 llc;			/* truth mctx.llc -> struct llc (arena) */
	u64 node;			/* truth mctx.node -> struct numa (arena) */
};

struct llc {
	u64 cpus;	/* truth llc.cpus -> struct bits (arena) */
	u64 node;	/* truth llc.node -> struct numa (arena) */
	u64 load;
};

struct numa {
	u64 llcs[8];	/* truth numa.llcs[] -> struct llc (arena) */
	u64 cpus;	/* truth numa.cpus -> struct bits (arena) */
	u64 id;
};

u64 bits_free;		/* truth .bss.bits_free -> struct bits (arena) */
u64 bits_lock;
u64 numas[4];		/* truth .bss.numas[] -> struct numa (arena) */
u64 no_cpus;		/* truth .bss.no_cpus -> struct bits (arena) */

struct held {
	u64 ctx;	/* truth held.ctx -> struct mctx (arena) */
};
STORAGE(helds, BPF_MAP_TYPE_TASK_STORAGE, struct held);

static __noinline u64 bits_get(void)
{
	struct bits __arena *b;
	u64 old;

	do {
		old = READ_ONCE(bits_free);
		b = (struct bits __arena *)old;
		if (!b)
			return (u64)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	} while (cmpxchg(&bits_free, old, b->next_free) != old && can_loop());
	b->nr = 0;
	return old;
}

static __noinline int bits_put(u64 mask)
{
	struct bits __arena *b = (struct bits __arena *)mask;
	u64 old;

	do {
		old = READ_ONCE(bits_free);
		b->next_free = old;
	} while (cmpxchg(&bits_free, old, mask) != old && can_loop());
	return 0;
}

static __noinline int bits_and(u64 out, u64 one, u64 two)
{
	struct bits __arena *o = (struct bits __arena *)out;
	struct bits __arena *a = (struct bits __arena *)one, *b = (struct bits __arena *)two;
	u64 nr = 0;
	u32 i;

	for (i = 0; i < 8 && can_loop(); i++) {
		o->words[i] = a->words[i] & b->words[i];
		nr += o->words[i] & 1;
	}
	o->nr = nr;
	return nr;
}

/* Leaves the nearest LLC and node that have CPUs of the mask. */
static __noinline int nearest(u64 mask, u64 scratch, u64 *llc, u64 *node)
{
	u32 i, j;

	for (i = 0; i < 4 && can_loop(); i++) {
		struct numa __arena *n = (struct numa __arena *)numas[i];

		if (!n || !bits_and(scratch, mask, n->cpus))
			continue;
		*node = (u64)n;
		for (j = 0; j < 8 && can_loop(); j++) {
			struct llc __arena *l = (struct llc __arena *)n->llcs[j];

			if (l && bits_and(scratch, mask, l->cpus)) {
				*llc = (u64)l;
				return 0;
			}
		}
	}
	return -2;
}

static __noinline u64 ctx_of(struct task_struct *p)
{
	struct held *h = bpf_task_storage_get(&helds, p, NULL, 0);

	return h ? h->ctx : 0;
}

OP2(s32, init_task, struct task_struct *, p, struct scx_init_task_args *, args)
{
	struct held *h = bpf_task_storage_get(&helds, p, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	struct mctx __arena *m = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

	if (!h || !m)
		return -12;
	m->task = p;
	m->live = bits_get();
	m->draft = bits_get();
	m->allowed = (struct bits __arena *)bits_get();
	h->ctx = (u64)m;
	return 0;
}

OP2(void, set_cpumask, struct task_struct *, p, const struct cpumask *, mask)
{
	struct mctx __arena *m = (struct mctx __arena *)ctx_of(p);
	u64 llc = 0, node = 0, tmp;
	u32 i;

	if (!m || !m->draft)
		return;
	for (i = 0; i < 8 && can_loop(); i++)
		((struct bits __arena *)m->draft)->words[i] = bpf_cpumask_test_cpu(i * 64, mask);
	tmp = m->live;
	m->live = m->draft;
	m->draft = tmp;
	if (nearest(m->live, m->draft, &llc, &node))
		return;
	m->llc = llc;
	m->node = node;
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	struct mctx __arena *m = (struct mctx __arena *)ctx_of(p);
	struct llc __arena *l;

	if (!m)
		return;
	l = (struct llc __arena *)m->llc;
	if (!l)
		return;
	__sync_fetch_and_add(&l->load, p->scx.weight);
	scx_bpf_dsq_insert(p, ((struct numa __arena *)l->node)->id, SCX_SLICE_DFL, flags);
}

OP2(void, exit_task, struct task_struct *, p, struct scx_exit_task_args *, args)
{
	struct mctx __arena *m = (struct mctx __arena *)ctx_of(p);

	if (!m)
		return;
	if (m->live != no_cpus)
		bits_put(m->live);
	bits_put(m->draft);
	m->node = m->llc = 0;
}

OP0(s32, init)
{
	u32 i, j;

	no_cpus = bits_get();
	for (i = 0; i < 4 && can_loop(); i++) {
		struct numa __arena *n = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

		if (!n)
			return -12;
		n->id = i;
		n->cpus = bits_get();
		for (j = 0; j < 8 && can_loop(); j++) {
			struct llc __arena *l = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

			if (!l)
				return -12;
			l->cpus = bits_get();
			l->node = (u64)n;
			n->llcs[j] = (u64)l;
		}
		numas[i] = (u64)n;
	}
	return 0;
}

DESCRIBE(bits);
DESCRIBE(mctx);
DESCRIBE(llc);
DESCRIBE(numa);
OPS(DO(init_task), DO(set_cpumask), DO(enqueue), DO(exit_task), DO(init), .name = "masks_swap");
LICENSE();
