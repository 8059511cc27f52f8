// SPDX-License-Identifier: GPL-2.0
/* One pair of functions for lists of anything: objects have the link first, and
 * lists are of tasks' or of CPUs' contexts. */
#include "suite.h"
ARENA_MAP;

struct link {
	struct link __arena *next;
	u64 value; /* truth: link.value different */
};
struct chain {
	struct link __arena *head;
	u64 nr; /* truth: chain.nr number */
};
struct tctx {
	u64 vtime;
	u32 pid;
	u32 flags;
	struct cctx __arena *cpu;
};
struct cctx {
	u32 cpu;
	u32 nr;
	u64 load;
	struct chain tasks;
	struct tctx __arena *running;
};
struct chain all_cpus;
struct cctx __arena *cctxs[16];
struct link __arena *links;

static __noinline int chain_add(struct chain __arena *c, u64 value)
{
	struct link __arena *l = links;

	if (l)
		links = l->next;
	else
		l = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!l)
		return -1;
	l->value = value;
	l->next = c->head;
	c->head = l;
	c->nr++;
	return 0;
}

static __noinline u64 chain_take(struct chain __arena *c)
{
	struct link __arena *l = c->head;
	u64 value;

	if (!l)
		return 0;
	c->head = l->next;
	value = l->value;
	l->next = links;
	links = l;
	c->nr--;
	return value;
}

__weak int run_on(struct cctx __arena *c __arg_arena, struct tctx __arena *t __arg_arena)
{
	if (!c || !t)
		return -1;
	c->running = t;
	t->cpu = c;
	return 0;
}

struct chain __arena *idle;

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	u32 cpu = bpf_get_smp_processor_id() & 15;
	struct cctx __arena *c = cctxs[cpu];
	struct tctx __arena *t;

	if (!idle)
		idle = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!c) {
		c = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!c)
			return;
		c->cpu = cpu;
		cctxs[cpu] = c;
		if (idle)
			chain_add(idle, (u64)c);
	}
	t = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!t)
		return;
	t->pid = p->pid;
	chain_add(&c->tasks, (u64)t);
}

SEC("struct_ops/dispatch")
void dispatch(u64 *ctx)
{
	struct cctx __arena *c = cctxs[bpf_get_smp_processor_id() & 15];
	struct tctx __arena *t;

	if (!c)
		return;
	t = (struct tctx __arena *)chain_take(&c->tasks);
	run_on(c, t);
	if (idle) {
		c = (struct cctx __arena *)chain_take(idle);
		if (c)
			c->load += c->nr;
	}
}
SCHED(.enqueue = (void *)enqueue, .dispatch = (void *)dispatch);
