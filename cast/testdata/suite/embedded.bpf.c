// SPDX-License-Identifier: GPL-2.0
/* Queues whose links are what their nodes begin with: the address of a node is that
 * of its link, and which of them a place holds is the source's choice. */
#include "suite.h"
ARENA_MAP;

struct qlink {
	u64 next; /* truth: qlink.next -> struct qlink (arena) */
	u64 stamp; /* truth: qlink.stamp number */
};
struct qnode {
	struct qlink link;
	u64 vtime; /* truth: qnode.vtime number */
	u32 pid;
	u32 prio;
};
struct queue {
	u64 first; /* truth: queue.first -> struct qlink (arena) */
	u64 last; /* truth: queue.last -> struct qlink (arena) */
	u64 running; /* truth: queue.running -> struct qnode (arena) */
};
SINGLE(queues, struct queue);
struct qnode __arena *typed_node;
struct qlink __arena *typed_link;

static void push(struct queue *q, struct qlink __arena *l)
{
	struct qlink __arena *last = (struct qlink __arena *)q->last;

	l->next = 0;
	if (last)
		last->next = (u64)l;
	else
		q->first = (u64)l;
	q->last = (u64)l;
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct queue *q = LOOKUP(queues);
	struct qnode __arena *n;

	if (!q)
		return;
	n = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!n)
		return;
	n->vtime = p->start_time;
	n->pid = p->pid;
	n->prio = 1;
	push(q, &n->link);
}

SEC("struct_ops/dispatch")
void dispatch(u64 *ctx)
{
	struct queue *q = LOOKUP(queues);
	struct qlink __arena *l;

	if (!q || !q->first)
		return;
	l = (struct qlink __arena *)q->first;
	q->first = l->next;
	if (!q->first)
		q->last = 0;
	q->running = (u64)container_of(l, struct qnode, link);
	((struct qnode __arena *)q->running)->vtime++;
}

SCHED(.enqueue = (void *)enqueue, .dispatch = (void *)dispatch);
