// SPDX-License-Identifier: GPL-2.0
/* Work stealing: each CPU has a ring in the arena, its owner pushes and pops at
 * the bottom, thieves take from the top. Rings grow; old ones stay linked. */
#include "scx.h"

#define MAX_CPUS 32
#define EMPTY 0

LICENSE();
ARENA(2048);

struct job {
	s32 pid;
	u32 flags;
	u64 queued_at;
};

struct ring {
	u64 shift; /* none ring.shift */
	u64 older; /* truth ring.older -> struct ring (arena) */
	u64 slots[256]; /* truth ring.slots[] -> struct job (arena) */
};

struct deque {
	u64 top; /* none deque.top */
	u64 bottom; /* none deque.bottom */
	u64 ring; /* truth deque.ring -> struct ring (arena) */
	u64 stolen;
};

struct cpu_ctx {
	u64 deque; /* truth cpu_ctx.deque -> struct deque (arena) */
	u64 victim; /* a number of a CPU */ /* none cpu_ctx.victim */
	u64 rng; /* none cpu_ctx.rng */
};

MAP(cpu_ctxs, BPF_MAP_TYPE_ARRAY, MAX_CPUS, u32, struct cpu_ctx);

static __noinline struct ring __arena *ring_new(struct deque __arena *d)
{
	struct ring __arena *r = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

	if (!r)
		return NULL;
	r->shift = 8;
	r->older = d->ring;
	d->ring = (u64)r;
	return r;
}

static __noinline int push_bottom(struct deque __arena *d, struct job __arena *job)
{
	struct ring __arena *r = (struct ring __arena *)d->ring;
	u64 b = d->bottom;

	if (!r || b - d->top >= 256) {
		r = ring_new(d);
		if (!r)
			return -12;
	}
	r->slots[b & 255] = (u64)job;
	d->bottom = b + 1;
	return 0;
}

static __noinline struct job __arena *pop_bottom(struct deque __arena *d)
{
	struct ring __arena *r = (struct ring __arena *)d->ring;
	u64 b, t;

	if (!r)
		return NULL;
	b = d->bottom - 1;
	d->bottom = b;
	t = d->top;
	if ((s64)t > (s64)b) {
		d->bottom = t;
		return EMPTY;
	}
	return (struct job __arena *)r->slots[b & 255];
}

static __noinline struct job __arena *steal(struct deque __arena *d)
{
	u64 t = d->top, b = d->bottom;
	struct ring __arena *r;
	struct job __arena *job;

	if ((s64)t >= (s64)b)
		return NULL;
	r = (struct ring __arena *)d->ring;
	if (!r)
		return NULL;
	job = (struct job __arena *)r->slots[t & 255];
	if (cmpxchg(&d->top, t, t + 1) != t)
		return NULL;
	__sync_fetch_and_add(&d->stolen, 1);
	return job;
}

OP0(s32, init)
{
	struct cpu_ctx *c;
	struct deque __arena *d;
	u32 i;

	for (i = 0; i < MAX_CPUS; i++) {
		c = bpf_map_lookup_elem(&cpu_ctxs, &i);
		if (!c)
			return -2;
		d = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!d)
			return -12;
		d->top = 1;
		d->bottom = 1;
		if (!ring_new(d))
			return -12;
		c->deque = (u64)d;
		c->rng = bpf_get_prandom_u32();
	}
	return 0;
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	u32 cpu = scx_bpf_task_cpu(p);
	struct cpu_ctx *c = bpf_map_lookup_elem(&cpu_ctxs, &cpu);
	struct job __arena *job;

	if (!c || !c->deque)
		return;
	job = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!job)
		return;
	job->pid = p->pid;
	job->flags = flags;
	job->queued_at = bpf_ktime_get_ns();
	push_bottom((struct deque __arena *)c->deque, job);
}

OP2(void, dispatch, s32, cpu, struct task_struct *, prev)
{
	struct cpu_ctx *c = bpf_map_lookup_elem(&cpu_ctxs, &cpu), *other;
	struct job __arena *job;
	struct task_struct *p;
	u32 victim;

	if (!c || !c->deque)
		return;
	job = pop_bottom((struct deque __arena *)c->deque);
	if (!job) {
		c->rng = c->rng * 6364136223846793005ULL + 1442695040888963407ULL;
		victim = c->rng >> 59;
		c->victim = victim;
		other = bpf_map_lookup_elem(&cpu_ctxs, &victim);
		if (!other || !other->deque)
			return;
		job = steal((struct deque __arena *)other->deque);
	}
	if (!job)
		return;
	p = bpf_task_from_pid(job->pid);
	if (p) {
		scx_bpf_dsq_insert(p, SCX_DSQ_GLOBAL, SCX_SLICE_DFL, 0);
		bpf_task_release(p);
	}
	bpf_arena_free_pages(&arena, job, 1);
}

OPS(DO(init), DO(enqueue), DO(dispatch), .name = "ws_deque");
