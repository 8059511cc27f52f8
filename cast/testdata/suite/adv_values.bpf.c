// SPDX-License-Identifier: GPL-2.0
/* A sorted list of numbers with a word for each, which is one kind of context for one
 * user, another kind for the next, and a time for a third; popped words are kept in
 * between. */
#include "suite.h"
ARENA_MAP;

struct ent {
	u64 next; /* truth: ent.next -> struct ent (arena) */
	u64 key; /* truth: ent.key number */
	u64 word; /* truth: ent.word different */
};
struct sorted {
	u64 head; /* truth: sorted.head -> struct ent (arena) */
	u64 spare; /* truth: sorted.spare -> struct ent (arena) */
	u64 last_word; /* truth: sorted.last_word different */
	u64 nr; /* truth: sorted.nr number */
};
struct cpuc {
	u64 load; /* truth: cpuc.load number */
	u64 cur; /* truth: cpuc.cur -> struct taskc (arena) */
	u32 cpu;
	u32 nr;
};
struct taskc {
	u64 vtime; /* truth: taskc.vtime number */
	u64 cpuc; /* truth: taskc.cpuc -> struct cpuc (arena) */
	u32 pid;
	u32 nr;
};
struct sorted by_load, by_vtime, by_time;
struct ent __arena *typed_ent;
struct cpuc __arena *typed_cpuc;
struct taskc __arena *typed_taskc;
u64 next_stamp; /* truth: .bss.next_stamp number */

static __noinline int sorted_add(struct sorted *s, u64 key, u64 word)
{
	struct ent __arena *e = (struct ent __arena *)s->spare, *at;

	if (e)
		s->spare = e->next;
	else
		e = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!e)
		return -1;
	e->key = key;
	e->word = word;
	at = (struct ent __arena *)s->head;
	if (!at || key < at->key) {
		e->next = s->head;
		s->head = (u64)e;
	} else {
		e->next = at->next;
		at->next = (u64)e;
	}
	s->nr++;
	return 0;
}

static __noinline int sorted_pop(struct sorted *s, u64 *key, u64 *word)
{
	struct ent __arena *e = (struct ent __arena *)s->head;

	if (!e)
		return -1;
	*key = e->key;
	*word = e->word;
	s->last_word = e->word;
	s->head = e->next;
	e->next = s->spare;
	s->spare = (u64)e;
	s->nr--;
	return 0;
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct taskc __arena *t = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	struct cpuc __arena *c;

	if (!t)
		return;
	t->pid = p->pid;
	t->vtime = bpf_ktime_get_ns();
	c = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!c)
		return;
	c->cpu = bpf_get_smp_processor_id();
	c->load = p->pid;
	t->cpuc = (u64)c;
	sorted_add(&by_vtime, t->vtime, (u64)t);
	sorted_add(&by_load, c->load, (u64)c);
	sorted_add(&by_time, p->pid, bpf_ktime_get_ns());
}

SEC("struct_ops/dispatch")
void dispatch(u64 *ctx)
{
	struct taskc __arena *t;
	struct cpuc __arena *c;
	u64 key, word;

	if (sorted_pop(&by_vtime, &key, &word))
		return;
	t = (struct taskc __arena *)word;
	t->nr++;
	if (!sorted_pop(&by_load, &key, &word)) {
		c = (struct cpuc __arena *)word;
		c->load = key + 1;
		c->cur = (u64)t;
	}
	if (!sorted_pop(&by_time, &key, &word))
		next_stamp = word;
}
SCHED(.enqueue = (void *)enqueue, .dispatch = (void *)dispatch);
