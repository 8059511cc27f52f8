// SPDX-License-Identifier: GPL-2.0
/* Pointers that go a long way before they are stored, or that show what they
 * are only after they are loaded. */
#include "cast.h"

struct flow {
	u64 joined;
	u64 looped;
	u64 spilled;
	u64 copied;
	u64 returned;
	u64 by_callback;
	u64 by_loop;
	u64 used;
	u64 core;
	u64 cast;
	u64 published;
	u64 stack_filled;
};

struct cb_arg {
	struct flow *f;
	u64 p; /* holds cb_arg.p -> struct task_struct (kernel, likely) */
};

SINGLE(flows, struct flow);

static __noinline struct flow *lookup(void)
{
	return LOOKUP(flows);
}

static __noinline u64 identity(u64 v)
{
	asm volatile("" : "+r"(v));
	return v;
}

static __noinline void fill(u64 *out, u64 v)
{
	*out = v;
}

static long each(void *map, u32 *key, struct flow *f, u64 *p)
{
	f->by_callback = *p; /* want flow.by_callback -> struct task_struct (kernel, proven) */
	return 0;
}

static long step(u64 i, struct cb_arg *arg)
{
	arg->f->by_loop = arg->p; /* want flow.by_loop -> struct task_struct (kernel, proven) */
	return 0;
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0), *q;
	struct flow *f = lookup();
	struct cb_arg arg = { .f = f, .p = (u64)p };
	u64 tmp = (u64)p, filled = 0, x;
	int i;

	if (!f)
		return;
	/* Typed on both arms, used after the join. */
	if (ARG(ctx, 1) & 1)
		x = (u64)p;
	else
		x = (u64)bpf_get_current_task_btf();
	asm volatile("" : "+r"(x));
	f->joined = x; /* want flow.joined -> struct task_struct (kernel, proven) */

	q = p;
	for (i = 0; i < 10; i++) {
		if (bpf_get_prandom_u32() & 1)
			q = bpf_get_current_task_btf();
		f->looped = (u64)q; /* want flow.looped -> struct task_struct (kernel, proven) */
	}

	asm volatile("*(u64 *)(r10 - 128) = %1; %0 = *(u64 *)(r10 - 128);" : "=r"(x) : "r"(p) : "memory");
	f->spilled = x; /* want flow.spilled -> struct task_struct (kernel, proven) */
	f->returned = identity((u64)p); /* want flow.returned -> struct task_struct (kernel, proven) */
	f->copied = f->returned; /* want flow.copied -> struct task_struct (kernel, proven) */
	fill(&filled, (u64)p);
	f->stack_filled = filled; /* want flow.stack_filled -> struct task_struct (kernel, proven) */

	bpf_for_each_map_elem(&flows, each, &tmp, 0);
	bpf_loop(3, step, &arg, 0);

	/* Known by what it is used as. */
	bpf_task_acquire((void *)f->used); /* want flow.used -> struct task_struct (kernel, likely) */
	((struct cgroup *)f->core)->level++; /* want flow.core -> struct cgroup (unknown, likely) */
	q = bpf_rdonly_cast((void *)f->cast, __builtin_btf_type_id(*(struct task_struct *)0, 1)); /* want flow.cast -> struct task_struct (kernel, likely) */
	__sync_val_compare_and_swap(&f->published, 0, (u64)p); /* want flow.published -> struct task_struct (kernel, proven) */
}

OPS(enqueue, enqueue);
