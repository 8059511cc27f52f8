/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A hash table that grows: buckets are words in pages of their own, each the head
 * of a chain. The values are processes, of which one is the last found.
 */
#include "../heldout/scx.h"

ARENA(2048);

struct knot {
	u64 key;
	u64 hash;
	u64 next;	/* truth knot.next -> struct knot (arena) */
	u64 value;	/* truth knot.value -> struct proc (arena) */
};

struct table {
	u64 buckets;	/* none table.buckets */
	u64 former;	/* none table.former */
	u64 bits;
	u64 count;
	u64 spare;	/* truth table.spare -> struct knot (arena) */
};

struct proc {
	u64 leader;	/* truth proc.leader -> struct task_struct (kernel) */
	u64 mm;		/* truth proc.mm -> struct mm_struct (kernel) */
	u64 threads;	/* truth proc.threads -> struct thread (arena) */
	u64 nr;
};

struct thread {
	u64 next;	/* truth thread.next -> struct thread (arena) */
	u64 proc;	/* truth thread.proc -> struct proc (arena) */
	u64 task;	/* truth thread.task -> struct task_struct (kernel) */
	u32 pid;
};

struct table __arena_global procs;
u64 last_found;		/* truth .bss.last_found -> struct proc (arena) */

static __always_inline u64 hash_of(u64 key)
{
	return key * 0x9e3779b97f4a7c15ULL;
}

static __noinline u64 __arena *bucket_of(struct table __arena *t, u64 hash)
{
	return (u64 __arena *)t->buckets + (hash >> (64 - t->bits));
}

static __noinline int grow(struct table __arena *t)
{
	u64 __arena *old = (u64 __arena *)t->buckets, *more;
	u64 i, n = 1ULL << t->bits;

	more = bpf_arena_alloc_pages(&arena, NULL, 4, -1, 0);
	if (!more)
		return -12;
	t->former = (u64)old;
	t->buckets = (u64)more;
	t->bits++;
	if (!old)
		return 0;
	for (i = 0; i < n && can_loop(); i++) {
		struct knot __arena *k = (struct knot __arena *)old[i];

		while (k && can_loop()) {
			struct knot __arena *next = (struct knot __arena *)k->next;
			u64 __arena *b = bucket_of(t, k->hash);

			k->next = *b;
			*b = (u64)k;
			k = next;
		}
	}
	bpf_arena_free_pages(&arena, (void __arena *)t->former, 4);
	t->former = 0;
	return 0;
}

static __noinline u64 table_get(struct table __arena *t, u64 key)
{
	struct knot __arena *k;
	u64 hash = hash_of(key);

	if (!t->buckets)
		return 0;
	k = (struct knot __arena *)*bucket_of(t, hash);
	while (k && can_loop()) {
		if (k->hash == hash && k->key == key)
			return k->value;
		k = (struct knot __arena *)k->next;
	}
	return 0;
}

static __noinline int table_put(struct table __arena *t, u64 key, u64 value)
{
	struct knot __arena *k = (struct knot __arena *)t->spare;
	u64 __arena *b;

	if (!t->buckets || t->count > 2ULL << t->bits)
		if (grow(t))
			return -12;
	if (k) {
		t->spare = k->next;
	} else {
		k = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!k)
			return -12;
	}
	k->key = key;
	k->hash = hash_of(key);
	k->value = value;
	b = bucket_of(t, k->hash);
	k->next = *b;
	*b = (u64)k;
	t->count++;
	return 0;
}

static __noinline int table_cut(struct table __arena *t, u64 key)
{
	u64 __arena *link;
	u64 hash = hash_of(key);

	if (!t->buckets)
		return -2;
	link = bucket_of(t, hash);
	while (*link && can_loop()) {
		struct knot __arena *k = (struct knot __arena *)*link;

		if (k->key == key) {
			*link = k->next;
			k->next = t->spare;
			t->spare = (u64)k;
			t->count--;
			return 0;
		}
		link = &k->next;
	}
	return -2;
}

OP2(s32, init_task, struct task_struct *, p, struct scx_init_task_args *, args)
{
	struct proc __arena *pr = (struct proc __arena *)table_get(&procs, p->tgid);
	struct thread __arena *th;

	if (!pr) {
		pr = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!pr)
			return -12;
		pr->leader = (u64)p->group_leader;
		pr->mm = (u64)p->mm;
		if (table_put(&procs, p->tgid, (u64)pr))
			return -12;
	}
	th = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!th)
		return -12;
	th->pid = p->pid;
	th->task = (u64)p;
	th->proc = (u64)pr;
	th->next = pr->threads;
	pr->threads = (u64)th;
	pr->nr++;
	return 0;
}

OP2(void, exit_task, struct task_struct *, p, struct scx_exit_task_args *, args)
{
	struct proc __arena *pr = (struct proc __arena *)table_get(&procs, p->tgid);
	u64 __arena *link;

	if (!pr)
		return;
	link = &pr->threads;
	while (*link && can_loop()) {
		struct thread __arena *th = (struct thread __arena *)*link;

		if (th->pid == p->pid) {
			*link = th->next;
			((struct proc __arena *)th->proc)->nr--;
			break;
		}
		link = &th->next;
	}
	if (!pr->nr)
		table_cut(&procs, p->tgid);
	last_found = 0;
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	u64 pr = table_get(&procs, p->tgid);

	last_found = pr;
	scx_bpf_dsq_insert(p, SCX_DSQ_GLOBAL, SCX_SLICE_DFL, flags);
}

DESCRIBE(knot);
DESCRIBE(proc);
DESCRIBE(thread);
OPS(DO(init_task), DO(exit_task), DO(enqueue), .name = "table");
LICENSE();
