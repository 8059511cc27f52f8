// SPDX-License-Identifier: GPL-2.0
/* A slab allocator in the arena: caches of slabs of objects; three caches. */
#include "scx.h"

LICENSE();
ARENA(2048);

struct slab {
	u64 next; /* truth slab.next -> struct slab (arena) */
	u64 prev; /* truth slab.prev -> struct slab (arena) */
	u64 cache; /* truth slab.cache -> struct cache (arena) */
	u64 freelist; /* of objects of any kind */ /* may slab.freelist -> unsigned long long (arena) */
	u32 inuse;
	u32 total;
};

struct cache {
	u32 size;
	u32 align;
	u64 partial; /* truth cache.partial -> struct slab (arena) */
	u64 full; /* truth cache.full -> struct slab (arena) */
	u64 nr_allocs;
};

struct task_ctx {
	u64 vtime;
	u64 llc; /* truth task_ctx.llc -> struct llc_ctx (arena) */
	u64 stats; /* truth task_ctx.stats -> struct stats (arena) */
	s32 pid;
};
DESCRIBE(task_ctx);

struct llc_ctx {
	u64 vtime;
	u64 stats; /* truth llc_ctx.stats -> struct stats (arena) */
	u32 id;
	u32 nr;
	u64 cpus;
	u64 slack[3];
};
DESCRIBE(llc_ctx);

struct stats {
	u64 nr_enq;
	u64 nr_run;
	u64 total_wait;
	u64 last_at;
	u64 hist[8];
};

struct task_ref {
	u64 taskc; /* truth task_ref.taskc -> struct task_ctx (arena) */
};

struct cache __arena *task_cache;
struct cache __arena *llc_cache;
struct cache __arena *stats_cache;
struct stats __arena *global_stats;
u64 llcs[8]; /* truth .bss.llcs[] -> struct llc_ctx (arena) */

STORAGE(refs, BPF_MAP_TYPE_TASK_STORAGE, struct task_ref);

static __noinline struct cache __arena *cache_create(u32 size)
{
	struct cache __arena *c = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

	if (!c)
		return NULL;
	c->size = size;
	c->align = 8;
	return c;
}

static __noinline struct slab __arena *slab_new(struct cache __arena *c)
{
	struct slab __arena *s = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0), *first;
	u64 at, i;

	if (!s)
		return NULL;
	s->cache = (u64)c;
	s->total = (4096 - sizeof(*s)) / (c->size | 8);
	s->inuse = 0;
	s->freelist = 0;
	at = (u64)s + sizeof(*s);
	for (i = 0; i < s->total && can_loop(); i++) {
		*(u64 __arena *)at = s->freelist;
		s->freelist = at;
		at += c->size;
	}
	first = (struct slab __arena *)c->partial;
	s->next = (u64)first;
	s->prev = 0;
	if (first)
		first->prev = (u64)s;
	c->partial = (u64)s;
	return s;
}

static __noinline void __arena *cache_alloc(struct cache __arena *c)
{
	struct slab __arena *s, *next;
	u64 obj;

	if (!c)
		return NULL;
	s = (struct slab __arena *)c->partial;
	if (!s) {
		s = slab_new(c);
		if (!s)
			return NULL;
	}
	obj = s->freelist;
	if (!obj)
		return NULL;
	s->freelist = *(u64 __arena *)obj;
	c->nr_allocs++;
	if (++s->inuse == s->total) {
		next = (struct slab __arena *)s->next;
		c->partial = (u64)next;
		if (next)
			next->prev = 0;
		s->next = c->full;
		c->full = (u64)s;
	}
	return (void __arena *)obj;
}

static __noinline void cache_free(void __arena *obj)
{
	struct slab __arena *s = (struct slab __arena *)((u64)obj & ~4095ULL);
	struct cache __arena *c = (struct cache __arena *)s->cache;

	*(u64 __arena *)obj = s->freelist;
	s->freelist = (u64)obj;
	s->inuse--;
	c->nr_allocs--;
}

OP0(s32, init)
{
	struct llc_ctx __arena *llc;
	int i;

	task_cache = cache_create(sizeof(struct task_ctx));
	llc_cache = cache_create(sizeof(struct llc_ctx));
	stats_cache = cache_create(sizeof(struct stats));
	global_stats = cache_alloc(stats_cache);
	for (i = 0; i < 8; i++) {
		llc = cache_alloc(llc_cache);
		if (!llc)
			return -12;
		llc->id = i;
		llc->nr = 0;
		llc->cpus = 0xff << i;
		llc->stats = (u64)cache_alloc(stats_cache);
		llcs[i] = (u64)llc;
	}
	return 0;
}

OP2(s32, init_task, struct task_struct *, p, struct scx_init_task_args *, args)
{
	struct task_ref *ref = bpf_task_storage_get(&refs, p, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	struct task_ctx __arena *taskc = cache_alloc(task_cache);
	struct llc_ctx __arena *llc;

	if (!ref || !taskc)
		return -12;
	llc = (struct llc_ctx __arena *)llcs[p->pid & 7];
	taskc->pid = p->pid;
	taskc->llc = (u64)llc;
	taskc->stats = (u64)cache_alloc(stats_cache);
	if (llc)
		taskc->vtime = llc->vtime;
	ref->taskc = (u64)taskc;
	return 0;
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	struct task_ref *ref = bpf_task_storage_get(&refs, p, NULL, 0);
	struct task_ctx __arena *taskc;
	struct llc_ctx __arena *llc;
	struct stats __arena *stats;

	if (!ref)
		return;
	taskc = (struct task_ctx __arena *)ref->taskc;
	if (!taskc)
		return;
	llc = (struct llc_ctx __arena *)taskc->llc;
	stats = (struct stats __arena *)taskc->stats;
	if (stats) {
		stats->nr_enq++;
		stats->last_at = bpf_ktime_get_ns();
		stats->hist[taskc->pid & 7]++;
	}
	if (llc) {
		llc->nr++;
		stats = (struct stats __arena *)llc->stats;
		if (stats)
			stats->nr_enq++;
	}
	scx_bpf_dsq_insert_vtime(p, 0, SCX_SLICE_DFL, taskc->vtime, flags);
}

OP2(void, exit_task, struct task_struct *, p, struct scx_exit_task_args *, args)
{
	struct task_ref *ref = bpf_task_storage_get(&refs, p, NULL, 0);
	struct task_ctx __arena *taskc;

	if (!ref || !ref->taskc)
		return;
	taskc = (struct task_ctx __arena *)ref->taskc;
	if (taskc->stats)
		cache_free((void __arena *)taskc->stats);
	cache_free(taskc);
	ref->taskc = 0;
}

OPS(DO(init), DO(init_task), DO(enqueue), DO(exit_task), .name = "slab_ctx");
