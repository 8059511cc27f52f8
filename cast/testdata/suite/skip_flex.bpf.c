// SPDX-License-Identifier: GPL-2.0
/* A skip list whose nodes have as many links as they have levels, kept in a trailing
 * array; the places to link at are collected on the way down. */
#include "suite.h"
ARENA_MAP;

#define MAX_LEVEL 8
struct sknode {
	u64 when; /* truth: sknode.when number */
	void __arena *owner; /* truth: sknode.owner -> struct sleeper (arena) */
	u32 level;
	u32 flags;
	void __arena *next[MAX_LEVEL]; /* truth: sknode.next[] -> struct sknode (arena) */
};
struct sklist {
	void __arena *head; /* truth: sklist.head -> struct sknode (arena) */
	void __arena *path[MAX_LEVEL]; /* truth: sklist.path[] -> struct sknode (arena) */
	u32 level;
	u32 nr;
};
struct sleeper {
	u64 until; /* truth: sleeper.until number */
	void __arena *node; /* truth: sleeper.node -> struct sknode (arena) */
	void __arena *list; /* truth: sleeper.list -> struct sklist (arena) */
	u32 pid;
	u32 naps;
};
struct nap {
	void __arena *sleeper; /* truth: nap.sleeper -> struct sleeper (arena) */
};
TASK_MAP(naps, struct nap);
void __arena *lists[4]; /* truth: .bss.lists[] -> struct sklist (arena) */
struct sknode __arena *typed_sknode;
struct sklist __arena *typed_sklist;
struct sleeper __arena *typed_sleeper;

static u32 level_of(u32 r)
{
	u32 l = 0;

	while (r & 1 && l < MAX_LEVEL - 1) {
		r >>= 1;
		l++;
	}
	return l;
}

static __noinline int sk_search(struct sklist __arena *l, u64 when)
{
	struct sknode __arena *n = l->head, *next;
	int lvl;

	if (!n)
		return -1;
	for (lvl = MAX_LEVEL - 1; lvl >= 0; lvl--) {
		for_times(i, 64) {
			next = n->next[lvl & 7];
			if (!next || next->when >= when)
				break;
			n = next;
		}
		l->path[lvl & 7] = n;
	}
	return 0;
}

static __noinline int sk_insert(struct sklist __arena *l, struct sknode __arena *n)
{
	struct sknode __arena *before;

	if (sk_search(l, n->when))
		return -1;
	n->level = level_of(bpf_get_prandom_u32());
	for_times(i, n->level + 1) {
		before = l->path[i & 7];
		if (!before)
			break;
		n->next[i & 7] = before->next[i & 7];
		before->next[i & 7] = n;
	}
	l->nr++;
	return 0;
}

static __noinline void __arena *sk_pop(struct sklist __arena *l)
{
	struct sknode __arena *head = l->head, *n;

	if (!head)
		return NULL;
	n = head->next[0];
	if (!n)
		return NULL;
	for_times(i, MAX_LEVEL) {
		if (head->next[i & 7] == n)
			head->next[i & 7] = n->next[i & 7];
	}
	l->nr--;
	return n->owner;
}

SEC("struct_ops/init_task")
int init_task(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct nap *v = bpf_task_storage_get(&naps, p, NULL, 1);
	struct sleeper __arena *s = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	struct sknode __arena *n = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	struct sklist __arena *l = lists[p->pid & 3];

	if (!v || !s || !n)
		return -12;
	if (!l) {
		l = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!l)
			return -12;
		l->head = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		lists[p->pid & 3] = l;
	}
	n->owner = s;
	s->node = n;
	s->list = l;
	s->pid = p->pid;
	v->sleeper = s;
	return 0;
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct nap *v = bpf_task_storage_get(&naps, p, NULL, 0);
	struct sleeper __arena *s;
	struct sknode __arena *n;

	if (!v || !v->sleeper)
		return;
	s = v->sleeper;
	n = s->node;
	s->until = bpf_ktime_get_ns() + 1000;
	n->when = s->until;
	sk_insert(s->list, n);
}

SEC("struct_ops/dispatch")
void dispatch(u64 *ctx)
{
	struct sklist __arena *l = lists[ARG(ctx, 0) & 3];
	struct sleeper __arena *s;

	if (!l)
		return;
	s = sk_pop(l);
	if (!s)
		return;
	s->naps++;
	s->until = 0;
}
SCHED(.init_task = (void *)init_task, .enqueue = (void *)enqueue, .dispatch = (void *)dispatch);
