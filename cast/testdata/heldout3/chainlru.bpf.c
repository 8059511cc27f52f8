/* SPDX-License-Identifier: GPL-2.0 */
/* A hash of chains whose entries are on a list by last use as well: the oldest is
 * evicted when there are too many. */
#include "scx.h"

#define BUCKETS 256
#define MOST 1024

ARENA_MAP(arena);

struct item;

struct bucket {
	struct item __arena *head;
	u64 lock;
};

struct item {
	struct item __arena *chain;
	struct item __arena *newer;
	struct item __arena *older;
	struct bucket __arena *bucket;
	u64 key;
	u64 body; /* truth: item.body -> struct mmstat (arena) */
};

typedef struct item __arena item_t;

struct mmstat {
	u64 faults;
	u64 last_cpu;
	u64 item; /* truth: mmstat.item -> struct item (arena) */
};

struct lru {
	struct bucket buckets[BUCKETS];
	item_t *newest;
	item_t *oldest;
	item_t *unused;
	u32 nr;
};

struct lru __arena *cache;
struct mmstat __arena *first_stat;
u64 hottest; /* truth: .bss.hottest -> struct mmstat (arena) */

static void list_del(item_t *it)
{
	item_t *newer = it->newer, *older = it->older;

	if (newer)
		newer->older = older;
	else
		cache->newest = older;
	if (older)
		older->newer = newer;
	else
		cache->oldest = newer;
}

static __noinline void list_add(item_t *it)
{
	item_t *first = cache->newest;

	it->newer = NULL;
	it->older = first;
	if (first)
		first->newer = it;
	else
		cache->oldest = it;
	cache->newest = it;
}

static void unchain(item_t *it)
{
	item_t *__arena *at = (item_t * __arena *)&it->bucket->head;

	for (u32 i = 0; i < 32 && *at; i++) {
		if (*at == it) {
			*at = it->chain;
			return;
		}
		at = (item_t * __arena *)&(*at)->chain;
	}
}

static item_t *evict(void)
{
	item_t *it = cache->oldest;

	if (!it)
		return NULL;
	list_del(it);
	unchain(it);
	cache->nr--;
	return it;
}

static item_t *lookup(u64 key)
{
	struct bucket __arena *b = &cache->buckets[key % BUCKETS];
	item_t *it = b->head;

	for (u32 i = 0; i < 32 && it; i++) {
		if (it->key == key) {
			list_del(it);
			list_add(it);
			return it;
		}
		it = it->chain;
	}
	it = cache->nr >= MOST ? evict() : cache->unused;
	if (!it)
		return NULL;
	if (it == cache->unused)
		cache->unused = it->chain;
	if (!it->body) {
		struct mmstat __arena *st = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

		it->body = (u64)st;
		if (st)
			st->item = (u64)it;
		if (!first_stat)
			first_stat = st;
	}
	it->key = key;
	it->bucket = b;
	it->chain = b->head;
	b->head = it;
	list_add(it);
	cache->nr++;
	return it;
}

SEC("struct_ops/chainlru_enqueue")
int chainlru_enqueue(u64 *ctx)
{
	struct task_struct *p = (struct task_struct *)ARG(ctx, 0);
	struct mmstat __arena *st, *hot = (struct mmstat __arena *)hottest;
	item_t *it;

	if (!cache)
		return 0;
	if (first_stat)
		first_stat->last_cpu++;
	it = lookup(p->start_time);
	if (!it)
		return -ENOMEM;
	st = (struct mmstat __arena *)it->body;
	if (!st)
		return 0;
	st->faults++;
	st->last_cpu = bpf_get_smp_processor_id();
	if (!hot || hot->faults < st->faults)
		hottest = (u64)st;
	else if (((item_t *)hot->item)->key == it->key)
		hot->faults = 0;
	return 0;
}

SEC("syscall")
int chainlru_init(void *ctx)
{
	item_t *batch = bpf_arena_alloc_pages(&arena, NULL, 12, -1, 0);

	cache = bpf_arena_alloc_pages(&arena, NULL, 2, -1, 0);
	if (!cache || !batch)
		return -ENOMEM;
	for (u32 i = 0; i < MOST; i++) {
		batch[i].chain = cache->unused;
		cache->unused = &batch[i];
	}
	return 0;
}

OPS(enqueue, chainlru_enqueue);
