/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A hash table with chains, whose entries are also on a ring by time of use. The ring's head
 * is a link of the same kind, so that nothing is a special case.
 */
#include "../heldout/scx.h"

ARENA(1024);

struct link {
	u64 next;	/* truth link.next -> struct link (arena) */
	u64 prev;	/* truth link.prev -> struct link (arena) */
};

struct entry {
	u64 key;
	u64 chain;	/* truth entry.chain -> struct entry (arena) */
	struct link used;
	u64 mm;		/* truth entry.mm -> struct mm_struct (kernel) */
	u64 stats;	/* truth entry.stats -> struct stats (arena) */
};

struct stats {
	u64 runs;
	u64 time;
	u64 last;	/* truth stats.last -> struct task_struct (kernel) */
};

struct lru {
	struct link ring;
	u64 buckets[256];	/* truth lru.buckets[] -> struct entry (arena) */
	u64 nr;
};

struct lru __arena_global cache;

static __always_inline void link_del(struct link __arena *l)
{
	((struct link __arena *)l->next)->prev = l->prev;
	((struct link __arena *)l->prev)->next = l->next;
}

static __always_inline void link_add(struct link __arena *l, struct link __arena *after)
{
	l->prev = (u64)after;
	l->next = after->next;
	((struct link __arena *)after->next)->prev = (u64)l;
	after->next = (u64)l;
}

static __noinline int unchain(struct entry __arena *e)
{
	u64 __arena *at = &cache.buckets[e->key & 255];

	while (*at && can_loop()) {
		if (*at == (u64)e) {
			*at = e->chain;
			return 0;
		}
		at = &((struct entry __arena *)*at)->chain;
	}
	return -2;
}

static __noinline struct entry __arena *evict(void)
{
	struct link __arena *l = (struct link __arena *)cache.ring.prev;
	struct entry __arena *e;

	if (l == &cache.ring)
		return NULL;
	e = container_of(l, struct entry, used);
	link_del(l);
	unchain(e);
	cache.nr--;
	return e;
}

static __noinline struct entry __arena *lru_get(u64 key)
{
	u64 at = cache.buckets[key & 255];
	struct entry __arena *e;

	while (at && can_loop()) {
		e = (struct entry __arena *)at;
		if (e->key == key) {
			link_del(&e->used);
			link_add(&e->used, &cache.ring);
			return e;
		}
		at = e->chain;
	}
	if (cache.nr >= 512)
		e = evict();
	else
		e = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!e)
		return NULL;
	e->key = key;
	e->chain = cache.buckets[key & 255];
	cache.buckets[key & 255] = (u64)e;
	link_add(&e->used, &cache.ring);
	cache.nr++;
	return e;
}

OP1(void, running, struct task_struct *, p)
{
	struct entry __arena *e = lru_get((u64)p->tgid);
	struct stats __arena *s;

	if (!e)
		return;
	if (!e->stats)
		e->stats = (u64)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	s = (struct stats __arena *)e->stats;
	if (!s)
		return;
	e->mm = (u64)p->mm;
	s->runs++;
	s->time = bpf_ktime_get_ns();
	s->last = (u64)p;
}

OP0(s32, init)
{
	cache.ring.next = (u64)&cache.ring;
	cache.ring.prev = (u64)&cache.ring;
	return 0;
}

DESCRIBE(link);
DESCRIBE(entry);
DESCRIBE(stats);
OPS(DO(running), DO(init), .name = "lru_cache");
LICENSE();
