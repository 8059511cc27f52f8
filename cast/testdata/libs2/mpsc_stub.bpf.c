/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A queue that any CPU adds to by an exchange, and its owner takes from. It is never
 * without a node: a stub that the queue holds stands in. Nodes are inside what is queued.
 */
#include "../heldout/scx.h"

ARENA(1024);

struct qnode {
	u64 next;	/* truth qnode.next -> struct qnode (arena) */
};

struct mpsc {
	u64 head;	/* truth mpsc.head -> struct qnode (arena) */
	u64 tail;	/* truth mpsc.tail -> struct qnode (arena) */
	struct qnode stub;
};

struct msg {
	u64 kind;
	u64 task;	/* truth msg.task -> struct task_struct (kernel) */
	struct qnode node;
	u64 from;	/* truth msg.from -> struct inbox (arena) */
	u64 after;	/* truth msg.after -> struct msg (arena) */
};

struct inbox {
	struct mpsc queue;
	u64 spare;	/* truth inbox.spare -> struct msg (arena) */
	u64 cpu;
};

u64 inboxes[128];	/* truth .bss.inboxes[] -> struct inbox (arena) */

static __noinline int mpsc_push(struct mpsc __arena *q, struct qnode __arena *n)
{
	struct qnode __arena *prev;

	n->next = 0;
	prev = (struct qnode __arena *)xchg(&q->head, (u64)n);
	WRITE_ONCE(prev->next, (u64)n);
	return 0;
}

static __noinline struct qnode __arena *mpsc_pop(struct mpsc __arena *q)
{
	struct qnode __arena *tail = (struct qnode __arena *)q->tail;
	struct qnode __arena *next = (struct qnode __arena *)READ_ONCE(tail->next);

	if (tail == &q->stub) {
		if (!next)
			return NULL;
		q->tail = (u64)next;
		tail = next;
		next = (struct qnode __arena *)next->next;
	}
	if (next) {
		q->tail = (u64)next;
		return tail;
	}
	if (tail != (struct qnode __arena *)READ_ONCE(q->head))
		return NULL;
	mpsc_push(q, &q->stub);
	next = (struct qnode __arena *)READ_ONCE(tail->next);
	if (!next)
		return NULL;
	q->tail = (u64)next;
	return tail;
}

static __noinline int mpsc_init(struct mpsc __arena *q)
{
	q->stub.next = 0;
	q->head = (u64)&q->stub;
	q->tail = (u64)&q->stub;
	return 0;
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	u32 cpu = bpf_get_smp_processor_id() & 127;
	struct inbox __arena *mine = (struct inbox __arena *)inboxes[cpu];
	struct inbox __arena *to = (struct inbox __arena *)inboxes[scx_bpf_task_cpu(p) & 127];
	struct msg __arena *m;

	if (!mine || !to)
		return;
	m = (struct msg __arena *)mine->spare;
	if (m)
		mine->spare = m->after;
	else
		m = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!m)
		return;
	m->kind = flags;
	m->task = (u64)p;
	m->from = (u64)mine;
	mpsc_push(&to->queue, &m->node);
}

OP2(void, dispatch, s32, cpu, struct task_struct *, prev)
{
	struct inbox __arena *in = (struct inbox __arena *)inboxes[cpu & 127];
	struct qnode __arena *n;
	struct msg __arena *m;

	if (!in)
		return;
	n = mpsc_pop(&in->queue);
	if (!n)
		return;
	m = container_of(n, struct msg, node);
	scx_bpf_kick_cpu(((struct inbox __arena *)m->from)->cpu, m->kind);
	m->after = in->spare;
	in->spare = (u64)m;
}

OP0(s32, init)
{
	u32 i;

	for (i = 0; i < 128 && can_loop(); i++) {
		struct inbox __arena *in = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

		if (!in)
			return -12;
		in->cpu = i;
		mpsc_init(&in->queue);
		inboxes[i] = (u64)in;
	}
	return 0;
}

DESCRIBE(qnode);
DESCRIBE(msg);
DESCRIBE(inbox);
OPS(DO(enqueue), DO(dispatch), DO(init), .name = "mpsc_stub");
LICENSE();
