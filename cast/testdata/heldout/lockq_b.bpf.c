// SPDX-License-Identifier: GPL-2.0
/* Tasks and idle CPUs, each in queues of the same library. */
#include "lockq.h"

LICENSE();
ARENA(256);

struct qtask {
	struct qlink link;
	u64 task; /* truth qtask.task -> struct task_struct (kernel) */
	u64 slice;
	u64 cpu; /* truth qtask.cpu -> struct qcpu (arena) */
};

struct qcpu {
	struct qlink link;
	u64 idle_since; /* none qcpu.idle_since */
	u64 curr; /* truth qcpu.curr -> struct qtask (arena) */
	s32 cpu;
};

struct node_ctx {
	u64 runq; /* truth node_ctx.runq -> struct lockq (arena) */
	u64 idleq; /* truth node_ctx.idleq -> struct lockq (arena) */
	u64 spares; /* truth node_ctx.spares -> struct lockq (arena) */
	u64 stamp; /* none node_ctx.stamp */
};

struct node_ctx node_ctxs[2];
u64 qcpus[64]; /* truth .bss.qcpus[] -> struct qcpu (arena) */

static __noinline struct qtask __arena *take_task(u64 q)
{
	return (struct qtask __arena *)lockq_get((struct lockq __arena *)q);
}

static __noinline int match(struct qtask __arena *t, struct qcpu __arena *c)
{
	t->cpu = (u64)c;
	c->curr = (u64)t;
	c->idle_since = 0;
	scx_bpf_kick_cpu(c->cpu, 0);
	return 0;
}

OP0(s32, init)
{
	struct qcpu __arena *c;
	int i;

	for (i = 0; i < 2; i++) {
		node_ctxs[i].runq = (u64)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		node_ctxs[i].idleq = (u64)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		node_ctxs[i].spares = (u64)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	}
	for (i = 0; i < 64 && can_loop(); i++) {
		c = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!c)
			return -12;
		c->cpu = i;
		c->idle_since = bpf_ktime_get_ns();
		qcpus[i] = (u64)c;
		lockq_put((struct lockq __arena *)node_ctxs[i & 1].idleq, &c->link);
	}
	return 0;
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	struct node_ctx *n = &node_ctxs[p->pid & 1];
	struct qtask __arena *t = take_task(n->spares);
	struct qcpu __arena *c;

	if (!t)
		t = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!t)
		return;
	t->task = (u64)p;
	t->slice = p->scx.slice;
	c = (struct qcpu __arena *)lockq_get((struct lockq __arena *)n->idleq);
	if (c)
		match(t, c);
	else
		lockq_put((struct lockq __arena *)n->runq, &t->link);
	n->stamp = bpf_ktime_get_ns();
}

OP2(void, dispatch, s32, cpu, struct task_struct *, prev)
{
	struct node_ctx *n = &node_ctxs[cpu & 1];
	struct qcpu __arena *c = (struct qcpu __arena *)qcpus[cpu & 63];
	struct qtask __arena *t, *old;

	if (!c)
		return;
	old = (struct qtask __arena *)c->curr;
	if (old) {
		old->cpu = 0;
		lockq_put((struct lockq __arena *)n->spares, &old->link);
	}
	t = take_task(n->runq);
	if (t) {
		match(t, c);
		return;
	}
	c->curr = 0;
	c->idle_since = bpf_ktime_get_ns();
	lockq_put((struct lockq __arena *)n->idleq, &c->link);
}

OPS(DO(init), DO(enqueue), DO(dispatch), .name = "lockq");
