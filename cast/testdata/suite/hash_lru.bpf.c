// SPDX-License-Identifier: GPL-2.0
/* A hash table with chains, whose entries are also on a list by last use. */
#include "suite.h"
ARENA_MAP;
#define BUCKETS 64

struct lru_entry {
	struct lru_entry __arena *hnext;
	struct lru_entry __arena *prev;
	struct lru_entry __arena *next;
	u64 hash; /* truth: lru_entry.hash number */
	u64 id; /* truth: lru_entry.id number */
	struct cgroup *cgrp;
	u32 hits;
};
struct lru {
	struct lru_entry __arena *buckets[BUCKETS];
	struct lru_entry __arena *mru;
	struct lru_entry __arena *oldest;
	u64 nr;
};
struct lru __arena *lru;

static __noinline struct lru_entry __arena *find(struct lru __arena *l, u64 hash)
{
	struct lru_entry __arena *e = l->buckets[hash & (BUCKETS - 1)];

	for_times(i, 64) {
		if (!e || e->hash == hash)
			break;
		e = e->hnext;
	}
	return e;
}

static __noinline void touch(struct lru __arena *l, struct lru_entry __arena *e)
{
	if (l->mru == e)
		return;
	if (e->prev)
		e->prev->next = e->next;
	if (e->next)
		e->next->prev = e->prev;
	else if (l->oldest == e)
		l->oldest = e->prev;
	e->prev = NULL;
	e->next = l->mru;
	if (l->mru)
		l->mru->prev = e;
	l->mru = e;
	if (!l->oldest)
		l->oldest = e;
}

SEC("struct_ops/init_task")
int init_task(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct cgroup *cgrp = (void *)ARG(ctx, 1);
	struct lru __arena *l = lru;
	struct lru_entry __arena *e;
	u64 hash = p->pid * 0x9e3779b97f4a7c15ULL;

	if (!l) {
		l = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!l)
			return 1;
		lru = l;
	}
	e = find(l, hash);
	if (!e) {
		e = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!e)
			return 1;
		e->hash = hash;
		e->id = p->pid;
		e->cgrp = cgrp;
		e->hnext = l->buckets[hash & (BUCKETS - 1)];
		l->buckets[hash & (BUCKETS - 1)] = e;
		l->nr++;
	}
	e->hits++;
	touch(l, e);
	if (l->nr > 100 && l->oldest)
		touch(l, l->oldest);
	return e->cgrp ? e->cgrp->level : 0;
}
SCHED(.init_task = (void *)init_task);
