// SPDX-License-Identifier: GPL-2.0
/* A skip list: each node has links of several levels, and a search keeps the
 * nodes that it passed on the way. */
#include "suite.h"
ARENA_MAP;
#define LEVELS 4

struct entry;
struct skip_node {
	u64 key;
	struct entry __arena *entry;
	u32 height;
	struct skip_node __arena *next[LEVELS];
};
struct entry {
	u32 pid;
	u32 cpu;
	struct skip_node __arena *node;
	u64 wait;
};
struct skip_list {
	struct skip_node __arena *head;
	u64 nr;
	struct skip_node __arena *path[LEVELS];
};
struct skip_list __arena *list;
struct entry __arena *entries[32];

__weak int skip_insert(struct skip_list __arena *l __arg_arena, struct entry __arena *e __arg_arena, u64 key)
{
	struct skip_node __arena *at, *n;

	if (!l || !e)
		return -1;
	at = l->head;
	if (!at)
		return -1;
	n = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!n)
		return -1;
	for (int level = LEVELS - 1; level >= 0; level--) {
		for_times(i, 32) {
			if (!at->next[level] || at->next[level]->key >= key)
				break;
			at = at->next[level];
		}
		l->path[level] = at;
	}
	n->key = key;
	n->entry = e;
	n->height = 1 + (bpf_get_prandom_u32() & 3);
	e->node = n;
	for_times(i, LEVELS) {
		if (i >= n->height)
			break;
		n->next[i] = l->path[i]->next[i];
		l->path[i]->next[i] = n;
	}
	l->nr++;
	return 0;
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct entry __arena *e = entries[p->pid & 31];

	if (!e) {
		e = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!e)
			return;
		e->pid = p->pid;
		entries[p->pid & 31] = e;
	}
	if (!list) {
		list = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!list)
			return;
		list->head = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	}
	skip_insert(list, e, bpf_ktime_get_ns());
}

SEC("struct_ops/dispatch")
void dispatch(u64 *ctx)
{
	struct skip_node __arena *n;

	if (!list || !list->head)
		return;
	n = list->head->next[0];
	if (n && n->entry) {
		n->entry->wait += n->key;
		if (n->entry->node == n)
			list->head->next[0] = n->next[0];
	}
}
SCHED(.enqueue = (void *)enqueue, .dispatch = (void *)dispatch);
