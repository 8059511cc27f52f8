// SPDX-License-Identifier: GPL-2.0
/* Pools of objects of two sizes: what is free is chained through its first word,
 * whatever it was. */
#include "suite.h"
ARENA_MAP;

struct pool {
	u64 first; /* truth: pool.first any */
	u64 size; /* truth: pool.size number */
	u64 nr; /* truth: pool.nr number */
};
struct req {
	u64 seq; /* truth: req.seq any */
	struct req __arena *next;
	struct cgrp_stat __arena *stat;
	u32 prio;
};
struct cgrp_stat {
	u64 usage; /* truth: cgrp_stat.usage any */
	u64 quota; /* truth: cgrp_stat.quota number */
	u32 nr;
	struct req __arena *queue;
	struct cgroup *cgrp;
};
struct pool reqs, cgrp_stats;
struct cgrp_stat __arena *root_stat;

static __noinline void __arena *pool_get(struct pool *pool)
{
	u64 __arena *obj = (u64 __arena *)pool->first;

	if (!obj)
		return bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	pool->first = *obj;
	pool->nr--;
	return obj;
}

static __noinline void pool_put(struct pool *pool, void __arena *obj)
{
	*(u64 __arena *)obj = pool->first;
	pool->first = (u64)obj;
	pool->nr++;
}

__weak int stat_queue(struct cgrp_stat __arena *st __arg_arena, struct req __arena *r __arg_arena)
{
	if (!st || !r)
		return -1;
	r->stat = st;
	r->next = st->queue;
	st->queue = r;
	st->nr++;
	return 0;
}

SEC("struct_ops/init_task")
int init_task(u64 *ctx)
{
	struct cgroup *cgrp = (void *)ARG(ctx, 1);
	struct req __arena *r;

	if (!root_stat) {
		root_stat = pool_get(&cgrp_stats);
		if (!root_stat)
			return 1;
		root_stat->cgrp = cgrp;
		root_stat->quota = 100;
	}
	r = pool_get(&reqs);
	if (!r)
		return 1;
	r->seq = reqs.nr;
	r->prio = cgrp->level;
	return stat_queue(root_stat, r);
}

SEC("struct_ops/dispatch")
void dispatch(u64 *ctx)
{
	struct cgrp_stat __arena *st = root_stat;
	struct req __arena *r;

	if (!st)
		return;
	r = st->queue;
	if (!r)
		return;
	st->queue = r->next;
	if (r->stat)
		r->stat->usage += r->prio;
	if (st->cgrp->level > 1)
		pool_put(&reqs, r);
	if (!st->nr--) {
		root_stat = NULL;
		pool_put(&cgrp_stats, st);
	}
}
SCHED(.init_task = (void *)init_task, .dispatch = (void *)dispatch);
