// SPDX-License-Identifier: GPL-2.0
/* Integers that a careless analysis takes for pointers. What
 * holds different things is reported, and not found. */
#include "cast.h"

struct traps {
	u64 a;
	u64 deadline;
	u64 both;
	u64 sum;
	u64 distance;
	u64 reused;
	u64 three;
};

SINGLE(traps, struct traps);

/* The address of a function that is called by nobody here. */
struct handler {
	u64 arg;
};

SINGLE(handlers, struct handler);

static __noinline int handle(u64 v)
{
	struct handler *h = LOOKUP(handlers);

	if (h)
		h->arg = v; /* want conflict handler.arg */
	return 0;
}

static long (*bpf_timer_set_callback_by)(void *timer, u64 v) = (void *)9999;

static __noinline void three(struct traps *t, u64 v)
{
	t->three = v; /* want conflict traps.three */
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct traps *t = LOOKUP(traps);
	struct cgroup *cgrp = bpf_cgroup_from_id(1);
	u64 v = bpf_ktime_get_ns(), x;

	if (!t || !cgrp)
		return;
	/* The value is a pointer on one path only. */
	if (ARG(ctx, 1) & 1) {
		v = (u64)p;
		asm volatile("" : "+r"(v));
	}
	t->deadline = v; /* want conflict traps.deadline */

	/* Two targets, by path. */
	x = (u64)p;
	if (ARG(ctx, 1) & 2)
		x = (u64)cgrp;
	asm volatile("" : "+r"(x));
	t->both = x; /* want conflict traps.both */

	/* Arithmetic that no pointer survives. */
	t->sum = (u64)p * 3;
	t->distance = (u64)p - (u64)cgrp;

	/* One field, two uses. */
	t->reused = (u64)p;
	if (ARG(ctx, 1) & 4)
		t->reused = bpf_ktime_get_ns(); /* want conflict traps.reused */

	/* By a helper that is not known, with whatever it likes. */
	bpf_timer_set_callback_by(handle, 5);
	handle((u64)p);
	handle(bpf_ktime_get_ns());

	/* Three callers that disagree. */
	three(t, (u64)p);
	three(t, (u64)cgrp);
	three(t, (u64)t);
}

OPS(enqueue, enqueue);
