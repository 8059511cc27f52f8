/* SPDX-License-Identifier: GPL-2.0 */
/* The scheduler: cells of CPUs, by number. */
#include "idr.h"

struct cell {
	u32 id;
	u32 nr_cpus;
	u64 cpus;	/* truth cell.cpus -> struct cellmask (arena) */
	u64 cgrp;	/* truth cell.cgrp -> struct cgroup (kernel) */
	u64 borrowed;	/* truth cell.borrowed -> struct cell (arena) */
};

struct cellmask {
	u64 words[4];
};

struct cg {
	u32 cell;
	u32 pad;
	u64 cached;	/* truth cg.cached -> struct cell (arena) */
};
STORAGE(cgs, BPF_MAP_TYPE_CGRP_STORAGE, struct cg);

u64 pool;	/* none .bss.pool */
u64 pool_at;

static __noinline u64 grab(u64 size)
{
	u64 at = pool + pool_at;

	pool_at += size;
	return at;
}

OP2(s32, cgroup_init, struct cgroup *, cgrp, struct scx_cgroup_init_args *, args)
{
	struct cell __arena *c = (struct cell __arena *)grab(sizeof(*c));
	struct cg *g = bpf_cgrp_storage_get(&cgs, cgrp, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	s32 id;

	if (!c || !g)
		return -12;
	id = idr_new((u64)c);
	if (id < 0)
		return id;
	c->id = id;
	c->cgrp = (u64)cgrp;
	c->cpus = grab(sizeof(struct cellmask));
	((struct cellmask __arena *)c->cpus)->words[id & 3] = 1;
	g->cell = id;
	g->cached = (u64)c;
	return 0;
}

OP1(void, cgroup_exit, struct cgroup *, cgrp)
{
	struct cg *g = bpf_cgrp_storage_get(&cgs, cgrp, NULL, 0);

	if (!g)
		return;
	idr_drop(g->cell);
	g->cached = 0;
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	struct cgroup *cgrp = scx_bpf_task_cgroup(p);
	struct cg *g = bpf_cgrp_storage_get(&cgs, cgrp, NULL, 0);
	struct cell __arena *c, *lender;

	if (!g)
		goto out;
	c = (struct cell __arena *)g->cached;
	if (!c)
		c = (struct cell __arena *)idr_find(g->cell);
	if (!c)
		goto out;
	if (!c->nr_cpus) {
		c->borrowed = idr_next(c->id);
		lender = (struct cell __arena *)c->borrowed;
		if (lender)
			c = lender;
	}
	scx_bpf_dsq_insert(p, c->id, SCX_SLICE_DFL, flags);
	if (((struct cellmask __arena *)c->cpus)->words[0])
		c->nr_cpus++;
out:
	bpf_cgroup_release(cgrp);
}

OP0(s32, init)
{
	return idr_setup();
}

/* User space gives the pool by its address. */
SEC("syscall") int give_pool(u64 *address)
{
	pool = *address;
	return 0;
}

DESCRIBE(cell);
DESCRIBE(cellmask);
OPS(DO(cgroup_init), DO(cgroup_exit), DO(enqueue), DO(init), .name = "idr");
LICENSE();
