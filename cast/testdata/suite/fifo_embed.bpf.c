// SPDX-License-Identifier: GPL-2.0
/* Tasks' contexts that begin with a node of a queue, so that a pointer to one is
 * one to the other. */
#include "suite.h"
ARENA_MAP;

struct qnode {
	struct qnode __arena *next;
	struct queue __arena *on;
};
struct queue {
	struct qnode __arena *head;
	struct qnode __arena *tail;
	u32 nr;
};
struct tctx {
	struct qnode node;
	u64 vtime;
	u32 pid;
	u32 runs;
};
struct slot {
	struct tctx __arena *tctx;
};
TASK_MAP(slots, struct slot);
struct queue __arena *queues[8];

__weak int queue_add(struct queue __arena *q __arg_arena, struct qnode __arena *n __arg_arena)
{
	if (!q || !n)
		return -1;
	n->next = NULL;
	n->on = q;
	if (q->tail)
		q->tail->next = n;
	else
		q->head = n;
	q->tail = n;
	q->nr++;
	return 0;
}

__weak int tctx_charge(struct tctx __arena *t __arg_arena, u64 ns)
{
	if (!t)
		return -1;
	t->vtime += ns;
	t->runs++;
	return 0;
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct slot *s = bpf_task_storage_get(&slots, p, NULL, 1);
	struct queue __arena *q = queues[p->pid & 7];

	if (!s)
		return;
	if (!s->tctx)
		s->tctx = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!q) {
		q = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		queues[p->pid & 7] = q;
	}
	if (!s->tctx)
		return;
	tctx_charge(s->tctx, p->start_time);
	queue_add(q, &s->tctx->node);
}

SEC("struct_ops/dispatch")
void dispatch(u64 *ctx)
{
	struct queue __arena *q = queues[2];
	struct tctx __arena *t;

	if (!q || !q->head)
		return;
	t = (struct tctx __arena *)q->head;
	q->head = t->node.next;
	tctx_charge(t, 1);
}
SCHED(.enqueue = (void *)enqueue, .dispatch = (void *)dispatch);
