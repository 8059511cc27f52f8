// SPDX-License-Identifier: GPL-2.0
/* Mailboxes of CPUs: many producers, one consumer, with a stub. */
#include "scx.h"

#define MAX_CPUS 32

LICENSE();
ARENA(256);

struct msg {
	u64 next; /* truth msg.next -> struct msg (arena) */
	u32 kind;
	s32 from;
	u64 arg; /* a pid, or a deadline, by kind */ /* none msg.arg */
	u64 taskc; /* truth msg.taskc -> struct task_ctx (arena) */
};
DESCRIBE(msg);

struct task_ctx {
	u64 seq;
	u64 deadline;
	s32 pid;
	u32 cpu;
	u64 mailbox; /* truth task_ctx.mailbox -> struct mailbox (arena) */
};
DESCRIBE(task_ctx);

struct mailbox {
	u64 head; /* truth mailbox.head -> struct msg (arena) */
	u64 tail; /* truth mailbox.tail -> struct msg (arena) */
	struct msg stub;
	u64 received;
};

struct cpu_ctx {
	u64 box; /* truth cpu_ctx.box -> struct mailbox (arena) */
	u64 last_msg; /* truth cpu_ctx.last_msg -> struct msg (arena) */
};

struct cpu_ctx cpus[MAX_CPUS];
STORAGE(tasks, BPF_MAP_TYPE_TASK_STORAGE, u64); /* truth tasks -> struct task_ctx (arena) */

static __noinline void post(struct mailbox __arena *box, struct msg __arena *m)
{
	struct msg __arena *prev;

	m->next = 0;
	prev = (struct msg __arena *)xchg(&box->head, (u64)m);
	if (prev)
		prev->next = (u64)m;
}

static __noinline struct msg __arena *receive(struct mailbox __arena *box)
{
	struct msg __arena *tail = (struct msg __arena *)box->tail, *next;

	if (!tail)
		return NULL;
	next = (struct msg __arena *)tail->next;
	if (tail == &box->stub) {
		if (!next)
			return NULL;
		box->tail = (u64)next;
		tail = next;
		next = (struct msg __arena *)tail->next;
	}
	if (next) {
		box->tail = (u64)next;
		box->received++;
		return tail;
	}
	if ((u64)tail != box->head)
		return NULL;
	post(box, &box->stub);
	next = (struct msg __arena *)tail->next;
	if (!next)
		return NULL;
	box->tail = (u64)next;
	return tail;
}

OP0(s32, init)
{
	struct mailbox __arena *box;
	int i;

	for (i = 0; i < MAX_CPUS; i++) {
		box = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!box)
			return -12;
		box->head = (u64)&box->stub;
		box->tail = (u64)&box->stub;
		cpus[i].box = (u64)box;
	}
	return 0;
}

OP2(s32, init_task, struct task_struct *, p, struct scx_init_task_args *, args)
{
	u64 *v = bpf_task_storage_get(&tasks, p, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	struct task_ctx __arena *c = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

	if (!v || !c)
		return -12;
	c->pid = p->pid;
	c->mailbox = cpus[p->pid & (MAX_CPUS - 1)].box;
	*v = (u64)c;
	return 0;
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	u64 *v = bpf_task_storage_get(&tasks, p, NULL, 0);
	struct msg __arena *m = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	struct task_ctx __arena *c;
	struct mailbox __arena *box;

	if (!v || !m)
		return;
	c = (struct task_ctx __arena *)*v;
	if (!c)
		return;
	box = (struct mailbox __arena *)c->mailbox;
	m->kind = flags & 1;
	m->from = bpf_get_smp_processor_id();
	m->arg = m->kind ? (u64)p->pid : bpf_ktime_get_ns();
	m->taskc = (u64)c;
	if (box)
		post(box, m);
}

OP2(void, dispatch, s32, cpu, struct task_struct *, prev)
{
	struct cpu_ctx *cc = &cpus[cpu & (MAX_CPUS - 1)];
	struct task_ctx __arena *c;
	struct msg __arena *m;

	if (!cc->box)
		return;
	m = receive((struct mailbox __arena *)cc->box);
	if (!m)
		return;
	cc->last_msg = (u64)m;
	c = (struct task_ctx __arena *)m->taskc;
	if (!c)
		return;
	c->seq++;
	c->cpu = cpu;
	if (!m->kind)
		c->deadline = m->arg;
}

OPS(DO(init), DO(init_task), DO(enqueue), DO(dispatch), .name = "mpsc");
