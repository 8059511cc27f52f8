/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A slab allocator for two kinds of objects. Each slab is a page that begins with its
 * header; an object's slab is found from its address. Free objects hold a link where they
 * begin.
 */
#include "../heldout/scx.h"

ARENA(4096);

struct cache {
	u64 size;
	u64 partial;	/* truth cache.partial -> struct slab (arena) */
	u64 full;	/* truth cache.full -> struct slab (arena) */
	u64 nr;
};

struct slab {
	u64 next;	/* truth slab.next -> struct slab (arena) */
	u64 prev;	/* truth slab.prev -> struct slab (arena) */
	u64 cache;	/* truth slab.cache -> struct cache (arena) */
	u64 free;	/* none slab.free */
	u32 used;
	u32 total;
};

struct job {
	u64 owner;	/* truth job.owner -> struct crew (arena) */
	u64 task;	/* truth job.task -> struct task_struct (kernel) */
	u64 after;	/* truth job.after -> struct job (arena) */
	u64 pid;
};

struct crew {
	u64 jobs;	/* truth crew.jobs -> struct job (arena) */
	u64 cgrp;	/* truth crew.cgrp -> struct cgroup (kernel) */
	u64 next;	/* truth crew.next -> struct crew (arena) */
	u64 id;
	u64 quota;
};

struct cache __arena_global job_cache;
struct cache __arena_global crew_cache;
u64 all_crews;	/* truth .bss.all_crews -> struct crew (arena) */

static __noinline void slab_link(struct slab __arena *s, u64 __arena *head)
{
	s->prev = 0;
	s->next = *head;
	if (*head)
		((struct slab __arena *)*head)->prev = (u64)s;
	*head = (u64)s;
}

static __noinline void slab_unlink(struct slab __arena *s, u64 __arena *head)
{
	if (s->prev)
		((struct slab __arena *)s->prev)->next = s->next;
	else
		*head = s->next;
	if (s->next)
		((struct slab __arena *)s->next)->prev = s->prev;
}

static __noinline struct slab __arena *slab_new(struct cache __arena *c)
{
	struct slab __arena *s = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	u64 at;

	if (!s)
		return NULL;
	s->cache = (u64)c;
	s->free = 0;
	for (at = sizeof(*s); at + c->size <= 4096 && can_loop(); at += c->size) {
		u64 obj = (u64)s + at;

		*(u64 __arena *)obj = s->free;
		s->free = obj;
		s->total++;
	}
	slab_link(s, &c->partial);
	return s;
}

static __noinline u64 cache_alloc(struct cache __arena *c)
{
	struct slab __arena *s = (struct slab __arena *)c->partial;
	u64 obj;

	if (!s)
		s = slab_new(c);
	if (!s)
		return 0;
	obj = s->free;
	if (!obj)
		return 0;
	s->free = *(u64 __arena *)obj;
	if (++s->used == s->total) {
		slab_unlink(s, &c->partial);
		slab_link(s, &c->full);
	}
	c->nr++;
	return obj;
}

static __noinline void cache_free(u64 obj)
{
	struct slab __arena *s = (struct slab __arena *)(obj & ~4095ULL);
	struct cache __arena *c = (struct cache __arena *)s->cache;

	if (s->used == s->total) {
		slab_unlink(s, &c->full);
		slab_link(s, &c->partial);
	}
	*(u64 __arena *)obj = s->free;
	s->free = obj;
	s->used--;
	c->nr--;
}

static __noinline struct crew __arena *crew_of(u64 id)
{
	u64 at = all_crews;

	while (at && can_loop()) {
		struct crew __arena *c = (struct crew __arena *)at;

		if (c->id == id)
			return c;
		at = c->next;
	}
	return NULL;
}

OP2(s32, cgroup_init, struct cgroup *, cgrp, struct scx_cgroup_init_args *, args)
{
	struct crew __arena *c = (struct crew __arena *)cache_alloc(&crew_cache);

	if (!c)
		return -12;
	c->jobs = 0;
	c->cgrp = (u64)cgrp;
	c->id = cgrp->kn->id;
	c->next = all_crews;
	all_crews = (u64)c;
	return 0;
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	struct crew __arena *c = crew_of(p->tgid);
	struct job __arena *j;

	if (!c)
		return;
	j = (struct job __arena *)cache_alloc(&job_cache);
	if (!j)
		return;
	j->owner = (u64)c;
	j->task = (u64)p;
	j->pid = p->pid;
	j->after = c->jobs;
	c->jobs = (u64)j;
}

OP2(void, dispatch, s32, cpu, struct task_struct *, prev)
{
	struct crew __arena *c = crew_of(cpu);
	struct job __arena *j;

	if (!c || !c->jobs)
		return;
	j = (struct job __arena *)c->jobs;
	c->jobs = j->after;
	((struct crew __arena *)j->owner)->quota -= j->pid;
	cache_free((u64)j);
}

OP0(s32, init)
{
	job_cache.size = sizeof(struct job);
	crew_cache.size = sizeof(struct crew);
	return 0;
}

DESCRIBE(slab);
DESCRIBE(job);
DESCRIBE(crew);
OPS(DO(cgroup_init), DO(enqueue), DO(dispatch), DO(init), .name = "slab_pages");
LICENSE();
