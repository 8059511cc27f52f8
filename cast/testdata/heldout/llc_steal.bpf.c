// SPDX-License-Identifier: GPL-2.0
/* LLCs in a ring, each with an array of its CPUs' contexts, a table of
 * neighbours by distance, and a FIFO of tasks; global untyped roots. */
#include "scx.h"

#define MAX_LLCS 16
#define LLC_CPUS 16
#define FIFO 128

LICENSE();
ARENA(1024);

struct cpu_ctx {
	s32 cpu;
	u32 idle;
	void __arena *llc; /* truth cpu_ctx.llc -> struct llc (arena) */
	u64 curr; /* truth cpu_ctx.curr -> struct task_struct (kernel) */
	u64 rq_clock; /* none cpu_ctx.rq_clock */
	u64 rq; /* truth cpu_ctx.rq -> struct rq (kernel) */
};
DESCRIBE(cpu_ctx);

struct fifo {
	u64 head; /* none fifo.head */
	u64 tail; /* none fifo.tail */
	u64 pids[FIFO]; /* none fifo.pids[] */
};

struct llc {
	void __arena *next; /* truth llc.next -> struct llc (arena) */
	void __arena *cpus[LLC_CPUS]; /* truth llc.cpus[] -> struct cpu_ctx (arena) */
	void __arena *near[4]; /* truth llc.near[] -> struct llc (arena) */
	void __arena *fifo; /* truth llc.fifo -> struct fifo (arena) */
	u32 id;
	u32 nr_cpus;
};

void __arena *llc_ring; /* truth .bss.llc_ring -> struct llc (arena) */
void __arena *cpu_ctxs[MAX_LLCS * LLC_CPUS]; /* truth .bss.cpu_ctxs[] -> struct cpu_ctx (arena) */
u64 nr_steals;

static __noinline int fifo_put(struct fifo __arena *f, u64 pid)
{
	if (f->tail - f->head >= FIFO)
		return -16;
	f->pids[f->tail++ % FIFO] = pid;
	return 0;
}

static __noinline u64 fifo_get(struct fifo __arena *f)
{
	return f->head == f->tail ? 0 : f->pids[f->head++ % FIFO];
}

static __noinline u64 steal(struct llc __arena *llc)
{
	struct llc __arena *other;
	u64 pid;
	int i;

	for (i = 0; i < 4; i++) {
		other = llc->near[i];
		if (!other || !other->fifo)
			continue;
		pid = fifo_get(other->fifo);
		if (pid) {
			nr_steals++;
			return pid;
		}
	}
	return 0;
}

static __noinline int add_cpu(struct llc __arena *llc, u32 cpu)
{
	struct cpu_ctx __arena *c = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	u32 at = llc->nr_cpus;

	if (!c || at >= LLC_CPUS)
		return -12;
	c->cpu = cpu;
	c->llc = llc;
	llc->cpus[at] = c;
	llc->nr_cpus = at + 1;
	cpu_ctxs[cpu & (MAX_LLCS * LLC_CPUS - 1)] = c;
	return 0;
}

OP0(s32, init)
{
	struct llc __arena *llc, *prev = NULL;
	int i, j;

	for (i = 0; i < MAX_LLCS && can_loop(); i++) {
		llc = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!llc)
			return -12;
		llc->id = i;
		llc->fifo = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		llc->next = llc_ring;
		llc->near[0] = llc_ring;
		llc->near[i & 3] = prev;
		llc_ring = llc;
		prev = llc;
		for (j = 0; j < 4; j++)
			if (add_cpu(llc, i * 4 + j))
				return -12;
	}
	return 0;
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	struct cpu_ctx __arena *c = cpu_ctxs[scx_bpf_task_cpu(p) & (MAX_LLCS * LLC_CPUS - 1)];
	struct llc __arena *llc;

	if (!c)
		return;
	llc = c->llc;
	if (llc && llc->fifo)
		fifo_put(llc->fifo, p->pid);
}

OP1(void, running, struct task_struct *, p)
{
	s32 cpu = scx_bpf_task_cpu(p);
	struct cpu_ctx __arena *c = cpu_ctxs[cpu & (MAX_LLCS * LLC_CPUS - 1)];
	struct rq *rq = scx_bpf_cpu_rq(cpu);

	if (!c || !rq)
		return;
	c->curr = (u64)p;
	c->rq = (u64)rq;
	c->rq_clock = rq->clock;
}

OP2(void, dispatch, s32, cpu, struct task_struct *, prev)
{
	struct llc __arena *llc;
	struct cpu_ctx __arena *first;
	u64 pid = 0;

	for (llc = llc_ring; llc && can_loop(); llc = llc->next) {
		first = llc->cpus[0];
		if (!first || (u32)first->cpu >> 2 != (u32)cpu >> 2)
			continue;
		if (llc->fifo)
			pid = fifo_get(llc->fifo);
		if (!pid)
			pid = steal(llc);
		first->idle = !pid;
		break;
	}
}

OPS(DO(init), DO(enqueue), DO(running), DO(dispatch), .name = "llc_steal");
