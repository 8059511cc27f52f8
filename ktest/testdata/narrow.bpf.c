// SPDX-License-Identifier: GPL-2.0
/*
 * A scheduler with one shared queue that works, and whose count of tasks has a race that is open
 * for one addition, as in most code. It is seen by a count that has none.
 */
#include "../../example_sched/bpf/bpf.h"

char LICENSE[] SEC("license") = "GPL";

#define SHARED_DSQ 0

u64 enqueued; /* added to atomically */
u64 counted;

SEC("struct_ops/enqueue")
void narrow_enqueue(u64 *args)
{
	struct task_struct *p = STRUCT_OPS_ARG(args, 0, struct task_struct *);

	(*(volatile u64 *)&counted)++;
	__sync_fetch_and_add(&enqueued, 1);
	scx_bpf_dsq_insert(p, SHARED_DSQ, 1000000, args[1]);
}

SEC("struct_ops/dispatch")
void narrow_dispatch(u64 *args)
{
	scx_bpf_dsq_move_to_local(SHARED_DSQ);
}

SEC("struct_ops.s/init")
s32 narrow_init(u64 *args)
{
	return scx_bpf_create_dsq(SHARED_DSQ, NUMA_NO_NODE);
}

SEC(".struct_ops.link")
struct sched_ext_ops narrow_ops = {
	.enqueue = (void *)narrow_enqueue,
	.dispatch = (void *)narrow_dispatch,
	.init = (void *)narrow_init,
	.timeout_ms = 20000,
	.name = "narrow",
};
