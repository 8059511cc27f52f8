// SPDX-License-Identifier: GPL-2.0
/* A hash of chains with pprev, whose entries are on a list by age, too, with a sentinel
 * and untyped links; entries are found by container_of. */
#include "suite.h"
ARENA_MAP;

struct hnode {
	u64 next; /* truth: hnode.next -> struct hnode (arena) */
	u64 pprev; /* truth: hnode.pprev any */
};
struct dlink {
	u64 next; /* truth: dlink.next -> struct dlink (arena) */
	u64 prev; /* truth: dlink.prev -> struct dlink (arena) */
};
struct entry {
	u32 tgid;
	u32 refs;
	struct hnode hash;
	struct dlink age;
	u64 stats; /* truth: entry.stats -> struct mmstat (arena) */
};
struct mmstat {
	u64 faults; /* truth: mmstat.faults number */
	u64 runtime; /* truth: mmstat.runtime number */
	u64 entry; /* truth: mmstat.entry -> struct entry (arena) */
};
struct table {
	u64 buckets[64]; /* truth: table.buckets[] -> struct hnode (arena) */
	struct dlink ages;
	u64 nr; /* truth: table.nr number */
	u64 last_hit; /* truth: table.last_hit -> struct entry (arena) */
};
u64 the_table; /* truth: .bss.the_table -> struct table (arena) */
struct entry __arena *typed_entry;
struct mmstat __arena *typed_mmstat;
struct table __arena *typed_table;
struct hnode __arena *typed_hnode;
struct dlink __arena *typed_dlink;

static __noinline void dlink_del(struct dlink __arena *l)
{
	struct dlink __arena *next = (struct dlink __arena *)l->next;
	struct dlink __arena *prev = (struct dlink __arena *)l->prev;

	next->prev = (u64)prev;
	prev->next = (u64)next;
	l->next = l->prev = 0;
}

static __noinline void dlink_add(struct dlink __arena *head, struct dlink __arena *l)
{
	struct dlink __arena *first = (struct dlink __arena *)head->next;

	l->next = (u64)first;
	l->prev = (u64)head;
	if (first)
		first->prev = (u64)l;
	head->next = (u64)l;
}

static __noinline u64 table_find(struct table __arena *t, u32 tgid)
{
	struct hnode __arena *h = (struct hnode __arena *)t->buckets[tgid & 63];
	struct entry __arena *e;

	for_times(i, 32) {
		if (!h)
			break;
		e = container_of(h, struct entry, hash);
		if (e->tgid == tgid) {
			t->last_hit = (u64)e;
			return (u64)e;
		}
		h = (struct hnode __arena *)h->next;
	}
	return 0;
}

static __noinline int table_add(struct table __arena *t, struct entry __arena *e)
{
	u64 __arena *bucket = &t->buckets[e->tgid & 63];
	struct hnode __arena *first = (struct hnode __arena *)*bucket;

	e->hash.next = (u64)first;
	if (first)
		first->pprev = (u64)&e->hash.next;
	*bucket = (u64)&e->hash;
	e->hash.pprev = (u64)bucket;
	dlink_add(&t->ages, &e->age);
	t->nr++;
	return 0;
}

static __noinline int table_evict(struct table __arena *t)
{
	struct dlink __arena *oldest = (struct dlink __arena *)t->ages.prev;
	struct entry __arena *e;
	struct hnode __arena *next;

	if (!oldest || oldest == &t->ages)
		return -1;
	e = container_of(oldest, struct entry, age);
	next = (struct hnode __arena *)e->hash.next;
	*(u64 __arena *)e->hash.pprev = (u64)next;
	if (next)
		next->pprev = e->hash.pprev;
	dlink_del(oldest);
	t->nr--;
	return e->refs;
}

SEC("struct_ops/init_task")
int init_task(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct table __arena *t = (struct table __arena *)the_table;
	struct entry __arena *e;
	struct mmstat __arena *s;

	if (!t) {
		t = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!t)
			return -12;
		t->ages.next = t->ages.prev = (u64)&t->ages;
		the_table = (u64)t;
	}
	e = (struct entry __arena *)table_find(t, p->pid);
	if (!e) {
		e = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		s = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!e || !s)
			return -12;
		e->tgid = p->pid;
		e->stats = (u64)s;
		s->entry = (u64)e;
		table_add(t, e);
	}
	e->refs++;
	if (t->nr > 1000)
		table_evict(t);
	return 0;
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct table __arena *t = (struct table __arena *)the_table;
	struct entry __arena *e;
	struct mmstat __arena *s;

	if (!t)
		return;
	e = (struct entry __arena *)table_find(t, p->pid);
	if (!e)
		return;
	dlink_del(&e->age);
	dlink_add(&t->ages, &e->age);
	s = (struct mmstat __arena *)e->stats;
	s->runtime += 10;
	s->faults = 0;
	((struct entry __arena *)s->entry)->refs++;
	if (t->last_hit)
		((struct entry __arena *)t->last_hit)->refs--;
}
SCHED(.init_task = (void *)init_task, .enqueue = (void *)enqueue);
