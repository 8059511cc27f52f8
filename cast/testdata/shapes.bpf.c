// SPDX-License-Identifier: GPL-2.0
/* Shapes that a linear scan of the instructions misses, one program each: what
 * has to be known is in a prototype, behind a call, at a merge, or in memory. */
#include "cast.h"

#define __arena __attribute__((address_space(1)))
#define BPF_F_CREATE 1

extern struct cgroup *bpf_task_get_cgroup(struct task_struct *p) __ksym;
extern void __arena *bpf_arena_alloc_pages(void *map, void __arena *addr, u32 pages, int node, u64 flags) __ksym;

struct rq {
	u64 clock;
} __core;

extern struct rq runqueues __ksym;

static void *(*bpf_cgrp_storage_get)(void *map, struct cgroup *cgrp, void *value, u64 flags) = (void *)210;
static void *(*bpf_per_cpu_ptr)(const void *ptr, u32 cpu) = (void *)153;
static void *(*bpf_kptr_xchg)(void *slot, void *ptr) = (void *)194;
static void *(*bpf_map_lookup_percpu_elem)(void *map, const void *key, u32 cpu) = (void *)195;

struct {
	__uint(type, ARENA);
	__uint(map_flags, 1024);
	__uint(max_entries, 16);
} arena SEC(".maps");

struct task_ctx {
	u64 from_argument;
	u64 from_subprogram;
	u64 from_storage;
	u64 current;
	u64 exchanged;
	u64 rq;
	s64 is_signed;
	unsigned long words[4];
	void *untyped;
	long published;
	u64 after_goto;
	u64 around_loop;
	u64 agreed;
	u64 timer_arg;
};

struct nested {
	u32 pad;
	u64 owner;
};

struct entry {
	u32 seq;
	u64 ptr;
};

struct cgrp_ctx {
	struct nested in;
	struct entry entries[16];
};

struct bpf_timer {
	u64 opaque[2];
} __attribute__((aligned(8)));

struct timed {
	struct bpf_timer timer;
	u64 self;
	u64 last;
};

struct node {
	u64 weight;
	u64 key;
	u64 owner;
};

struct {
	__uint(type, TASK_STORAGE);
	__uint(map_flags, 1);
	__type(key, s32);
	__type(value, struct task_ctx);
} task_ctxs SEC(".maps");

struct {
	__uint(type, CGRP_STORAGE);
	__uint(map_flags, 1);
	__type(key, s32);
	__type(value, struct cgrp_ctx);
} cgrp_ctxs SEC(".maps");

struct {
	__uint(type, PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct percpu { u64 running; });
} percpus SEC(".maps");

SINGLE(timers, struct timed);

u64 pool;
u64 pool_end;

static __noinline struct task_ctx *lookup(struct task_struct *p)
{
	return bpf_task_storage_get(&task_ctxs, p, NULL, BPF_F_CREATE);
}

static __noinline void put(u64 *slot, u64 v)
{
	*slot = v; /* want nested.owner -> struct task_struct (kernel, proven) */
}

/* An allocator of the program's own, on top of the kernel's. */
static __noinline void __arena *take(u64 size)
{
	if (!pool)
		pool = (u64)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	pool_end += size;
	return (void __arena *)(pool + pool_end);
}

/* BTF has a struct that functions take pointers to. */
static __noinline u64 weigh(struct node __arena *n)
{
	u64 w = n->weight;

	asm volatile("" : "+r"(w));
	return w;
}

static int fire(void *map, u32 *key, struct timed *t)
{
	t->last = (u64)t; /* want timed.last -> struct timed (map value, proven) */
	return 0;
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct task_ctx *c = lookup(p);
	struct node __arena *n;
	struct percpu *pc;
	u64 x;
	u32 i = bpf_get_prandom_u32(), key = 0;

	if (!c)
		return;
	c->from_argument = (u64)p; /* want task_ctx.from_argument -> struct task_struct (kernel, proven) */
	c->from_subprogram = (u64)lookup(p); /* want task_ctx.from_subprogram -> struct task_ctx (map value, proven) */
	c->current = (u64)bpf_get_current_task_btf(); /* want task_ctx.current -> struct task_struct (kernel, proven) */
	c->is_signed = (s64)p; /* want task_ctx.is_signed -> struct task_struct (kernel, proven) */
	c->words[i & 3] = (unsigned long)p; /* want task_ctx.words[] -> struct task_struct (kernel, proven) */
	c->untyped = p; /* want task_ctx.untyped -> struct task_struct (kernel, proven) */
	c->rq = (u64)bpf_per_cpu_ptr(&runqueues, 0); /* want task_ctx.rq -> struct rq (kernel, proven) */
	bpf_kptr_xchg(&c->exchanged, bpf_task_acquire(p)); /* want task_ctx.exchanged -> struct task_struct (kernel, proven) */
	__sync_lock_test_and_set(&c->published, (u64)p); /* want task_ctx.published -> struct task_struct (kernel, proven) */

	/* An unconditional jump over code that leaves something else in the register. */
	asm volatile("r6 = %1\n"
		     "goto 1f\n"
		     "2: r6 = 7\n"
		     "1: %0 = r6\n"
		     "if r6 == 7 goto 2b" : "=r"(x) : "r"(p) : "r6");
	if (x != 7)
		c->after_goto = (u64)p; /* want task_ctx.after_goto -> struct task_struct (kernel, proven) */

	x = (u64)p;
	for (i = 0; i < 100; i++) {
		c->around_loop = x; /* want task_ctx.around_loop -> struct task_struct (kernel, proven) */
		if (bpf_get_prandom_u32() & 1)
			x = (u64)bpf_get_current_task_btf();
	}

	/* Stored as what a type says, loaded, cast and accessed. */
	n = take(sizeof(*n));
	c->agreed = (u64)n; /* want task_ctx.agreed -> struct node (arena, likely) */
	weigh(n);
	((struct node __arena *)c->agreed)->key++;
	n->owner = (u64)p; /* want node.owner -> struct task_struct (kernel, proven) */

	pc = bpf_map_lookup_percpu_elem(&percpus, &key, 1);
	if (pc)
		pc->running = (u64)p; /* want percpu.running -> struct task_struct (kernel, proven) */
}

SEC("struct_ops/init_task")
int init_task(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct cgroup *cgrp = (void *)ARG(ctx, 1);
	struct cgrp_ctx *c = bpf_cgrp_storage_get(&cgrp_ctxs, cgrp, NULL, BPF_F_CREATE);
	struct task_ctx *t = lookup(p);
	struct timed *timed = LOOKUP(timers);
	u32 i = bpf_get_prandom_u32() & 15;

	if (!c || !t || !timed)
		return 1;
	put(&c->in.owner, (u64)p);
	c->entries[i].ptr = (u64)cgrp; /* want entry.ptr -> struct cgroup (kernel, proven) */
	t->from_storage = (u64)c; /* want task_ctx.from_storage -> struct cgrp_ctx (map value, proven) */
	timed->self = (u64)timed; /* want timed.self -> struct timed (map value, proven) */
	bpf_timer_set_callback(&timed->timer, fire);
	return 0;
}

SEC(".struct_ops.link")
struct test_ops ops = {
	.enqueue = (void *)enqueue,
	.init_task = (void *)init_task,
};
