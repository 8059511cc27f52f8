// SPDX-License-Identifier: GPL-2.0
/* One hash table for values of any kind, used for domains, for jobs and for plain counts. */
#include "../heldout/scx.h"

LICENSE();
ARENA(2048);

#define BUCKETS 128

struct hentry {
	u64 chain; /* truth hentry.chain -> struct hentry (arena) */
	u64 key; /* none hentry.key */
	u64 value; /* none hentry.value */
};

struct htab {
	u64 bucket[BUCKETS]; /* truth htab.bucket[] -> struct hentry (arena) */
	u64 unused; /* truth htab.unused -> struct hentry (arena) */
	u64 salt; /* none htab.salt */
	u32 nr;
};

struct domain {
	u64 load;
	u64 busiest; /* truth domain.busiest -> struct jobinfo (arena) */
	u64 mask; /* none domain.mask */
	u32 id;
};
DESCRIBE(domain);

struct jobinfo {
	u64 dom; /* truth jobinfo.dom -> struct domain (arena) */
	u64 weight;
	u64 hash; /* none jobinfo.hash */
};
DESCRIBE(jobinfo);

struct tables {
	u64 domains; /* truth tables.domains -> struct htab (arena) */
	u64 jobs; /* truth tables.jobs -> struct htab (arena) */
	u64 counts; /* truth tables.counts -> struct htab (arena) */
};

MAP(root, BPF_MAP_TYPE_ARRAY, 1, u32, struct tables);

static __always_inline struct tables *get_tables(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&root, &zero);
}

static __noinline u32 slot_of(u64 key, u64 salt)
{
	key = (key ^ salt) * 0xff51afd7ed558ccdULL;
	key ^= key >> 33;
	return key & (BUCKETS - 1);
}

static __noinline struct htab __arena *htab_create(u64 salt)
{
	struct htab __arena *t = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	struct hentry __arena *e;
	int i;

	if (!t)
		return NULL;
	e = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!e)
		return NULL;
	t->salt = salt;
	for (i = 0; i < 4096 / sizeof(*e) && can_loop(); i++) {
		e[i].chain = t->unused;
		t->unused = (u64)(e + i);
	}
	return t;
}

static __noinline struct hentry __arena *htab_find(struct htab __arena *t, u64 key)
{
	struct hentry __arena *e;

	e = (struct hentry __arena *)t->bucket[slot_of(key, t->salt)];
	while (e && e->key != key && can_loop())
		e = (struct hentry __arena *)e->chain;
	return e;
}

static __noinline int htab_put(struct htab __arena *t, u64 key, u64 value)
{
	struct hentry __arena *e = htab_find(t, key);
	u32 at;

	if (e) {
		e->value = value;
		return 0;
	}
	e = (struct hentry __arena *)t->unused;
	if (!e)
		return -28;
	t->unused = e->chain;
	at = slot_of(key, t->salt);
	e->key = key;
	e->value = value;
	e->chain = t->bucket[at];
	t->bucket[at] = (u64)e;
	t->nr++;
	return 0;
}

static __noinline u64 htab_get(struct htab __arena *t, u64 key)
{
	struct hentry __arena *e = htab_find(t, key);

	return e ? e->value : 0;
}

static __noinline int htab_del(struct htab __arena *t, u64 key)
{
	u32 at = slot_of(key, t->salt);
	struct hentry __arena *e = (struct hentry __arena *)t->bucket[at], *before = NULL;

	for (; e && can_loop(); before = e, e = (struct hentry __arena *)e->chain) {
		if (e->key != key)
			continue;
		if (before)
			before->chain = e->chain;
		else
			t->bucket[at] = e->chain;
		e->chain = t->unused;
		t->unused = (u64)e;
		return 0;
	}
	return -2;
}

OP0(s32, init)
{
	struct tables *t = get_tables();
	struct htab __arena *doms;
	struct domain __arena *d;
	int i;

	if (!t)
		return -2;
	doms = htab_create(1);
	t->domains = (u64)doms;
	t->jobs = (u64)htab_create(bpf_get_prandom_u32());
	t->counts = (u64)htab_create(bpf_get_prandom_u32());
	if (!doms)
		return -12;
	for (i = 0; i < 8 && can_loop(); i++) {
		d = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!d)
			return -12;
		d->id = i;
		d->mask = 0xffULL << (i * 8);
		if (htab_put(doms, i, (u64)d))
			return -28;
	}
	return 0;
}

OP2(s32, init_task, struct task_struct *, p, struct scx_init_task_args *, args)
{
	struct tables *t = get_tables();
	struct htab __arena *jobs, *doms;
	struct jobinfo __arena *j;

	if (!t)
		return -2;
	jobs = (struct htab __arena *)t->jobs;
	doms = (struct htab __arena *)t->domains;
	if (!jobs || !doms)
		return -2;
	j = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!j)
		return -12;
	j->weight = p->scx.weight;
	j->hash = jobs->salt * p->pid;
	j->dom = htab_get(doms, p->pid & 7);
	return htab_put(jobs, p->pid, (u64)j);
}

OP2(void, runnable, struct task_struct *, p, u64, flags)
{
	struct tables *t = get_tables();
	struct jobinfo __arena *j, *top;
	struct domain __arena *d;
	struct htab __arena *counts;

	if (!t || !t->jobs)
		return;
	j = (struct jobinfo __arena *)htab_get((struct htab __arena *)t->jobs, p->pid);
	if (!j)
		return;
	d = (struct domain __arena *)j->dom;
	if (d) {
		d->load += j->weight;
		top = (struct jobinfo __arena *)d->busiest;
		if (!top || top->weight < j->weight)
			d->busiest = (u64)j;
	}
	counts = (struct htab __arena *)t->counts;
	if (counts)
		htab_put(counts, p->tgid, htab_get(counts, p->tgid) + 1);
}

OP2(void, exit_task, struct task_struct *, p, struct scx_exit_task_args *, args)
{
	struct tables *t = get_tables();

	if (t && t->jobs)
		htab_del((struct htab __arena *)t->jobs, p->pid);
}

OPS(DO(init), DO(init_task), DO(runnable), DO(exit_task), .name = "anyhash");
