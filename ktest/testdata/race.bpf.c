// SPDX-License-Identifier: GPL-2.0
/*
 * A scheduler with one shared queue that works, and whose bookkeeping has two races between
 * CPUs, for the tests of searches. Each is seen by a count that has none.
 */
#ifndef FAULT
#error "build with -DFAULT=RACE or RACE_FIXED"
#endif
#include "../../example_sched/bpf/bpf.h"

char LICENSE[] SEC("license") = "GPL";

#define SHARED_DSQ 0
#define RACE 1
#define RACE_FIXED 2

u64 enqueued;    /* added to atomically */
u64 counted;     /* a lost update: loaded, and stored some instructions later */
u32 taken;       /* check-then-act: a lock that is looked at before it is taken */
u32 nr_owners;
u64 nr_clashes;  /* how often two have had it */

static __always_inline u64 work(u64 x, int n)
{
	volatile u64 v = x;

	for (int i = 0; i < n; i++)
		v = v * 3 + i;
	return v;
}

SEC("struct_ops/enqueue")
void race_enqueue(u64 *args)
{
	struct task_struct *p = STRUCT_OPS_ARG(args, 0, struct task_struct *);
	u64 before = *(volatile u64 *)&counted;

#if FAULT == RACE
	*(volatile u64 *)&counted = before + 1 + (work(before, 60) == 1);
#else
	__sync_fetch_and_add(&counted, 1 + (work(before, 60) == 1));
#endif
	if (!*(volatile u32 *)&taken) {
		*(volatile u32 *)&taken = 1;
		if (__sync_fetch_and_add(&nr_owners, 1))
			__sync_fetch_and_add(&nr_clashes, 1);
		work(before, 6);
		__sync_fetch_and_add(&nr_owners, -1);
		*(volatile u32 *)&taken = 0;
	}
	__sync_fetch_and_add(&enqueued, 1);
	scx_bpf_dsq_insert(p, SHARED_DSQ, 1000000, args[1]);
}

SEC("struct_ops/dispatch")
void race_dispatch(u64 *args)
{
	scx_bpf_dsq_move_to_local(SHARED_DSQ);
}

SEC("struct_ops.s/init")
s32 race_init(u64 *args)
{
	return scx_bpf_create_dsq(SHARED_DSQ, NUMA_NO_NODE);
}

SEC(".struct_ops.link")
struct sched_ext_ops race_ops = {
	.enqueue = (void *)race_enqueue,
	.dispatch = (void *)race_dispatch,
	.init = (void *)race_init,
	.timeout_ms = 20000,
	.name = "race",
};
