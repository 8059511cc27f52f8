/* SPDX-License-Identifier: GPL-2.0 */
/* A context for each CPU in a per-CPU array. It is copied as a whole into a log
 * when it changes hands, and back when a CPU returns. */
#include "scx.h"

#define LOG 64

ARENA_MAP(arena);

struct burst {
	u64 start;
	u64 length;
	struct burst __arena *before;
};

struct view {
	struct burst __arena *burst;
	u64 owner; /* truth: view.owner -> struct work (arena) */
	u64 rq; /* truth: view.rq -> struct rq (kernel) */
	u64 stamp;
};

struct cpu_ctx {
	struct view now;
	struct work __arena *local;
	u64 stolen; /* truth: cpu_ctx.stolen -> struct work (arena) */
	u64 task; /* truth: cpu_ctx.task -> struct task_struct (kernel) */
	u32 cpu;
};

struct {
	__uint(type, PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct cpu_ctx);
} cpu_ctxs SEC(".maps");

struct work {
	struct work __arena *next;
	struct record __arena *record;
	u64 weight;
};

struct record {
	struct view saved;
	u64 from; /* truth: record.from -> struct work (arena) */
};

struct view past[LOG];
struct work __arena *global_work;
u32 past_next;

static struct cpu_ctx *this_ctx(void)
{
	return LOOKUP(cpu_ctxs);
}

static __noinline void keep(struct record __arena *rec, struct view *v, struct work __arena *w)
{
	rec->saved.burst = v->burst;
	rec->saved.owner = v->owner;
	rec->saved.rq = v->rq;
	rec->saved.stamp = v->stamp;
	rec->from = (u64)w;
}

static __noinline void begin(struct burst __arena *b, struct burst __arena *before)
{
	b->start = bpf_ktime_get_ns();
	b->before = before;
}

SEC("struct_ops/percpuctx_enqueue")
int percpuctx_enqueue(u64 *ctx)
{
	struct task_struct *p = (struct task_struct *)ARG(ctx, 0);
	struct cpu_ctx *c = this_ctx();
	struct burst __arena *b = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	struct work __arena *w = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

	if (!c || !b || !w)
		return -ENOMEM;
	begin(b, c->now.burst);
	past[past_next++ & (LOG - 1)] = c->now;
	w->weight = p->pid;
	w->next = c->local;
	w->record = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	c->local = w;
	c->task = (u64)p;
	c->now.burst = b;
	c->now.owner = (u64)w;
	c->now.rq = (u64)scx_bpf_cpu_rq(c->cpu);
	c->now.stamp = b->start;
	if (w->record)
		keep(w->record, &c->now, w);
	return 0;
}

static int steal(struct cpu_ctx *c, u32 from)
{
	u32 zero = 0;
	struct cpu_ctx *other = bpf_map_lookup_percpu_elem(&cpu_ctxs, &zero, from);
	struct work __arena *w;

	if (!other)
		return 0;
	w = other->local;
	if (!w)
		w = global_work;
	if (!w)
		return 0;
	other->local = w->next;
	w->next = (struct work __arena *)c->stolen;
	c->stolen = (u64)w;
	if (w->record && w->record->from)
		((struct work __arena *)w->record->from)->weight++;
	return 1;
}

SEC("struct_ops/percpuctx_dispatch")
int percpuctx_dispatch(u64 *ctx)
{
	struct cpu_ctx *c = this_ctx();
	struct work __arena *w;
	struct rq *rq;

	if (!c)
		return 0;
	c->cpu = ARG(ctx, 0);
	w = (struct work __arena *)c->now.owner;
	if (!w && steal(c, (c->cpu + 1) & 7))
		w = (struct work __arena *)c->stolen;
	if (!w)
		return 0;
	if (c->now.burst)
		c->now.burst->length = bpf_ktime_get_ns() - c->now.burst->start;
	c->now = past[w->weight & (LOG - 1)];
	rq = core_cast(c->now.rq, struct rq);
	return rq->nr_running + core_cast(c->task, struct task_struct)->pid;
}

SEC("syscall")
int percpuctx_init(void *ctx)
{
	global_work = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	return global_work ? 0 : -ENOMEM;
}

SEC(".struct_ops.link")
struct test_ops percpuctx_ops = {
	.enqueue = (void *)percpuctx_enqueue,
	.dispatch = (void *)percpuctx_dispatch,
};
