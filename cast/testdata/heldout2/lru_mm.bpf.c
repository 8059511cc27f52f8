// SPDX-License-Identifier: GPL-2.0
/* Statistics by address space: hash chains, and an LRU list that gives up its oldest entry. */
#include "../heldout/scx.h"

LICENSE();
ARENA(512);

#define HASH_BITS 8

struct as_stat {
	u64 hnext; /* truth as_stat.hnext -> struct as_stat (arena) */
	u64 newer; /* truth as_stat.newer -> struct as_stat (arena) */
	u64 older; /* truth as_stat.older -> struct as_stat (arena) */
	u64 mm; /* truth as_stat.mm -> struct mm_struct (kernel) */
	u64 leader; /* truth as_stat.leader -> struct task_struct (kernel) */
	u64 hash; /* none as_stat.hash */
	u64 runtime;
	u64 last_vm; /* none as_stat.last_vm */
};

struct as_cache {
	u64 newest; /* truth as_cache.newest -> struct as_stat (arena) */
	u64 oldest; /* truth as_cache.oldest -> struct as_stat (arena) */
	u64 nr;
	u64 max; /* none as_cache.max */
};

struct as_ref {
	u64 stat; /* truth as_ref.stat -> struct as_stat (arena) */
	u64 seen_hash; /* none as_ref.seen_hash */
};

struct as_cache cache = { .max = 1024 };
u64 buckets[1 << HASH_BITS]; /* truth .bss.buckets[] -> struct as_stat (arena) */

STORAGE(as_refs, BPF_MAP_TYPE_TASK_STORAGE, struct as_ref);

static __always_inline u64 hash_mm(const void *mm)
{
	return ((u64)mm >> 6) * 0x61c8864680b583ebULL;
}

#define BUCKET(h) buckets[(h) >> (64 - HASH_BITS)]

static __noinline void lru_unlink(struct as_stat __arena *s)
{
	struct as_stat __arena *newer = (struct as_stat __arena *)s->newer;
	struct as_stat __arena *older = (struct as_stat __arena *)s->older;

	if (newer)
		newer->older = (u64)older;
	else
		cache.newest = (u64)older;
	if (older)
		older->newer = (u64)newer;
	else
		cache.oldest = (u64)newer;
}

static __noinline void lru_front(struct as_stat __arena *s)
{
	struct as_stat __arena *was = (struct as_stat __arena *)cache.newest;

	s->newer = 0;
	s->older = (u64)was;
	if (was)
		was->newer = (u64)s;
	else
		cache.oldest = (u64)s;
	cache.newest = (u64)s;
}

static __noinline void unhash(struct as_stat __arena *s)
{
	struct as_stat __arena *at = (struct as_stat __arena *)BUCKET(s->hash);

	if (at == s) {
		BUCKET(s->hash) = s->hnext;
		return;
	}
	while (at && can_loop()) {
		if (at->hnext == (u64)s) {
			at->hnext = s->hnext;
			return;
		}
		at = (struct as_stat __arena *)at->hnext;
	}
}

static __noinline struct as_stat __arena *as_new(void)
{
	struct as_stat __arena *s;

	if (cache.nr < cache.max) {
		s = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (s) {
			cache.nr++;
			return s;
		}
	}
	s = (struct as_stat __arena *)cache.oldest;
	if (s) {
		lru_unlink(s);
		unhash(s);
		s->runtime = 0;
	}
	return s;
}

static __noinline struct as_stat __arena *as_get(struct task_struct *p)
{
	struct mm_struct *mm = p->mm;
	struct as_stat __arena *s;
	u64 hash;

	if (!mm)
		return NULL;
	hash = hash_mm(mm);
	for (s = (struct as_stat __arena *)BUCKET(hash); s && can_loop(); s = (struct as_stat __arena *)s->hnext) {
		if (s->mm != (u64)mm)
			continue;
		if (cache.newest != (u64)s) {
			lru_unlink(s);
			lru_front(s);
		}
		return s;
	}
	s = as_new();
	if (!s)
		return NULL;
	s->hash = hash;
	s->mm = (u64)mm;
	s->leader = (u64)p->group_leader;
	s->last_vm = mm->total_vm;
	s->hnext = BUCKET(hash);
	BUCKET(hash) = (u64)s;
	lru_front(s);
	return s;
}

OP2(void, runnable, struct task_struct *, p, u64, flags)
{
	struct as_ref *ref = bpf_task_storage_get(&as_refs, p, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	struct as_stat __arena *s;

	if (!ref)
		return;
	s = as_get(p);
	if (!s)
		return;
	ref->stat = (u64)s;
	ref->seen_hash = s->hash;
}

OP2(void, stopping, struct task_struct *, p, bool, runnable)
{
	struct as_ref *ref = bpf_task_storage_get(&as_refs, p, NULL, 0);
	struct as_stat __arena *s;

	if (!ref || !ref->stat)
		return;
	s = (struct as_stat __arena *)ref->stat;
	if (s->hash != ref->seen_hash)
		return;
	s->runtime += SCX_SLICE_DFL - p->scx.slice;
	if (s->leader == (u64)p)
		s->runtime++;
}

OPS(DO(runnable), DO(stopping), .name = "lru_mm");
