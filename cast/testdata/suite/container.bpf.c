// SPDX-License-Identifier: GPL-2.0
/* Lists that run through members: what holds a node is found by its offset. */
#include "suite.h"

ARENA_MAP;

struct list_node {
	struct list_node __arena *next;
	struct list_node __arena **pprev;
};

struct list {
	struct list_node __arena *first;
	u64 len;
};

struct job {
	u64 deadline;
	u32 pid;
	u32 state;
	struct list_node by_age;
	struct list_node by_owner;
	struct client __arena *client;
};

struct client {
	struct list jobs;
	u64 budget;
	u32 id;
	struct list_node all;
};

struct list __arena *ages;
struct list __arena *clients;

static void list_add(struct list __arena *l, struct list_node __arena *n)
{
	struct list_node __arena *first = l->first;

	n->next = first;
	if (first)
		first->pprev = (struct list_node __arena **)&n->next;
	l->first = n;
	n->pprev = (struct list_node __arena **)&l->first;
	l->len++;
}

static void list_del(struct list_node __arena *n)
{
	struct list_node __arena *next = n->next, *__arena *pprev = (struct list_node __arena *__arena *)n->pprev;

	*pprev = next;
	if (next)
		next->pprev = (struct list_node __arena **)pprev;
	n->next = NULL;
}

static __noinline struct client __arena *client_find(u32 id)
{
	struct list_node __arena *n = clients ? clients->first : NULL;

	for_times(i, 100) {
		struct client __arena *c;

		if (!n)
			break;
		c = container_of(n, struct client, all);
		if (c->id == id)
			return c;
		n = n->next;
	}
	return NULL;
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct client __arena *c;
	struct job __arena *j;

	if (!ages)
		ages = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!clients)
		clients = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!ages || !clients)
		return;
	c = client_find(p->pid & 7);
	if (!c) {
		c = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!c)
			return;
		c->id = p->pid & 7;
		c->budget = 1000;
		list_add(clients, &c->all);
	}
	j = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!j)
		return;
	j->pid = p->pid;
	j->state = 1;
	j->deadline = bpf_ktime_get_ns() + c->budget;
	j->client = c;
	list_add(&c->jobs, &j->by_owner);
	list_add(ages, &j->by_age);
}

SEC("struct_ops/dispatch")
void dispatch(u64 *ctx)
{
	struct list_node __arena *n = ages ? ages->first : NULL;
	struct job __arena *j;

	if (!n)
		return;
	j = container_of(n, struct job, by_age);
	if (j->client && j->client->budget > j->deadline) {
		j->client->budget -= j->state;
		list_del(&j->by_owner);
		list_del(&j->by_age);
	}
}

SCHED(.enqueue = (void *)enqueue, .dispatch = (void *)dispatch);
