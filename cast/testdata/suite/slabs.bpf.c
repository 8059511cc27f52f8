// SPDX-License-Identifier: GPL-2.0
/* A slab allocator over a bump allocator: caches of objects by size, with slabs that
 * have a header in front of their objects; and typed wrappers of it. */
#include "suite.h"
ARENA_MAP;

#define SLAB_BYTES 4096
struct slab {
	u64 next; /* truth: slab.next -> struct slab (arena) */
	u64 cache; /* truth: slab.cache -> struct cache (arena) */
	u64 freelist; /* truth: slab.freelist different */
	u32 inuse;
	u32 total;
};
struct cache {
	u64 partial; /* truth: cache.partial -> struct slab (arena) */
	u64 full; /* truth: cache.full -> struct slab (arena) */
	u64 size; /* truth: cache.size number */
	u64 nr_slabs; /* truth: cache.nr_slabs number */
};
struct bump {
	u64 page; /* truth: bump.page any */
	u64 used; /* truth: bump.used number */
};
struct task_info {
	u64 sum_exec; /* truth: task_info.sum_exec number */
	u64 group; /* truth: task_info.group -> struct group_info (arena) */
	u32 pid;
	u32 last_cpu;
};
struct group_info {
	u64 members; /* truth: group_info.members number */
	u64 leader; /* truth: group_info.leader -> struct task_info (arena) */
	u64 parent; /* truth: group_info.parent -> struct group_info (arena) */
	u32 tgid;
};
struct info_val {
	u64 info; /* truth: info_val.info -> struct task_info (arena) */
};
TASK_MAP(infos, struct info_val);
struct bump bump;
u64 task_cache; /* truth: .bss.task_cache -> struct cache (arena) */
u64 group_cache; /* truth: .bss.group_cache -> struct cache (arena) */
u64 groups[16]; /* truth: .bss.groups[] -> struct group_info (arena) */
struct task_info __arena *typed_info;
struct group_info __arena *typed_group;
struct cache __arena *typed_cache;
struct slab __arena *typed_slab;

static u64 bump_alloc(u64 bytes)
{
	u64 at;

	if (!bump.page || bump.used + bytes > SLAB_BYTES) {
		bump.page = (u64)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!bump.page)
			return 0;
		bump.used = 0;
	}
	at = bump.page + bump.used;
	bump.used += bytes;
	return at;
}

static __noinline u64 cache_new(u64 size)
{
	struct cache __arena *c = (struct cache __arena *)bump_alloc(sizeof(*c));

	if (!c)
		return 0;
	c->size = size;
	c->partial = 0;
	c->full = 0;
	return (u64)c;
}

static __noinline int slab_grow(struct cache __arena *c)
{
	struct slab __arena *s = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	u64 obj;

	if (!s)
		return -12;
	s->cache = (u64)c;
	s->inuse = 0;
	s->total = (SLAB_BYTES - sizeof(*s)) / (c->size | 1);
	s->freelist = 0;
	obj = (u64)(s + 1);
	for_times(i, s->total) {
		*(u64 __arena *)obj = s->freelist;
		s->freelist = obj;
		obj += c->size;
	}
	s->next = c->partial;
	c->partial = (u64)s;
	c->nr_slabs++;
	return 0;
}

static __noinline u64 cache_alloc(struct cache __arena *c)
{
	struct slab __arena *s;
	u64 obj;

	if (!c)
		return 0;
	if (!c->partial && slab_grow(c))
		return 0;
	s = (struct slab __arena *)c->partial;
	obj = s->freelist;
	if (!obj)
		return 0;
	s->freelist = *(u64 __arena *)obj;
	if (++s->inuse == s->total) {
		c->partial = s->next;
		s->next = c->full;
		c->full = (u64)s;
	}
	return obj;
}

static __noinline void cache_free(u64 obj)
{
	struct slab __arena *s = (struct slab __arena *)(obj & ~(u64)(SLAB_BYTES - 1));
	struct cache __arena *c;

	if (!obj)
		return;
	c = (struct cache __arena *)s->cache;
	*(u64 __arena *)obj = s->freelist;
	s->freelist = obj;
	if (!--s->inuse && c)
		c->nr_slabs--;
}

static struct task_info __arena *task_info_new(void)
{
	if (!task_cache)
		task_cache = cache_new(sizeof(struct task_info));
	return (struct task_info __arena *)cache_alloc((struct cache __arena *)task_cache);
}

static struct group_info __arena *group_info_new(void)
{
	if (!group_cache)
		group_cache = cache_new(sizeof(struct group_info));
	return (struct group_info __arena *)cache_alloc((struct cache __arena *)group_cache);
}

SEC("struct_ops/init_task")
int init_task(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct info_val *v = bpf_task_storage_get(&infos, p, NULL, 1);
	struct task_info __arena *ti;
	struct group_info __arena *g;

	if (!v)
		return -12;
	ti = task_info_new();
	if (!ti)
		return -12;
	ti->pid = p->pid;
	g = (struct group_info __arena *)groups[p->pid & 15];
	if (!g) {
		g = group_info_new();
		if (!g)
			return -12;
		g->leader = (u64)ti;
		g->parent = groups[0];
		g->tgid = p->pid;
		groups[p->pid & 15] = (u64)g;
	}
	g->members++;
	ti->group = (u64)g;
	v->info = (u64)ti;
	return 0;
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct info_val *v = bpf_task_storage_get(&infos, p, NULL, 0);
	struct task_info __arena *ti, *lead;
	struct group_info __arena *g, *up;

	if (!v || !v->info)
		return;
	ti = (struct task_info __arena *)v->info;
	ti->last_cpu = bpf_get_smp_processor_id();
	g = (struct group_info __arena *)ti->group;
	if (!g)
		return;
	lead = (struct task_info __arena *)g->leader;
	if (lead)
		lead->sum_exec += ti->sum_exec;
	up = (struct group_info __arena *)g->parent;
	if (up)
		up->members++;
}

SEC("struct_ops/exit_task")
void exit_task(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct info_val *v = bpf_task_storage_get(&infos, p, NULL, 0);
	struct task_info __arena *ti;
	struct group_info __arena *g;

	if (!v || !v->info)
		return;
	ti = (struct task_info __arena *)v->info;
	g = (struct group_info __arena *)ti->group;
	v->info = 0;
	cache_free((u64)ti);
	if (g && !--g->members) {
		groups[g->tgid & 15] = 0;
		cache_free((u64)g);
	}
}
SCHED(.init_task = (void *)init_task, .enqueue = (void *)enqueue, .dispatch = (void *)exit_task);
