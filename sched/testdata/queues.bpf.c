// SPDX-License-Identifier: GPL-2.0
/*
 * A scheduler with queues of each kind, for the tests of what is read of them. Workers
 * (tasks called spin-N) go to a queue that nobody drains while "parked" is set: those
 * with an even N by vtime, later ones first, the others first in, first out.
 */
#include "../../example_sched/bpf/bpf.h"

char LICENSE[] SEC("license") = "GPL";

enum queue {
	SHARED_DSQ = 0,
	FIFO_DSQ = 7,
	VTIME_DSQ = 0x100000001,
};

#define TIMEOUT_MS 30000

volatile u32 parked;
enum queue last; /* has the enum described */

void scx_bpf_dsq_insert_vtime(struct task_struct *p, u64 dsq_id, u64 slice, u64 vtime, u64 enq_flags) __ksym __weak;

static __always_inline bool is_worker(const struct task_struct *p)
{
	return p->comm[0] == 's' && p->comm[1] == 'p' && p->comm[2] == 'i' && p->comm[3] == 'n';
}

SEC("struct_ops/enqueue")
void queues_enqueue(u64 *args)
{
	struct task_struct *p = STRUCT_OPS_ARG(args, 0, struct task_struct *);
	u64 flags = STRUCT_OPS_ARG(args, 1, u64);

	if (!parked || !is_worker(p)) {
		last = SHARED_DSQ;
		scx_bpf_dsq_insert(p, SHARED_DSQ, 5000000, flags);
		return;
	}
	if (p->comm[5] & 1) {
		last = FIFO_DSQ;
		scx_bpf_dsq_insert(p, FIFO_DSQ, 5000000, flags);
	} else {
		last = VTIME_DSQ;
		scx_bpf_dsq_insert_vtime(p, VTIME_DSQ, 5000000, 1000000 - p->pid, flags);
	}
}

SEC("struct_ops/dispatch")
void queues_dispatch(u64 *args)
{
	if (scx_bpf_dsq_move_to_local(SHARED_DSQ) || parked)
		return;
	if (!scx_bpf_dsq_move_to_local(FIFO_DSQ))
		scx_bpf_dsq_move_to_local(VTIME_DSQ);
}

SEC("struct_ops.s/init")
s32 queues_init(u64 *args)
{
	s32 err = scx_bpf_create_dsq(SHARED_DSQ, NUMA_NO_NODE);

	if (!err)
		err = scx_bpf_create_dsq(FIFO_DSQ, NUMA_NO_NODE);
	if (!err)
		err = scx_bpf_create_dsq(VTIME_DSQ, NUMA_NO_NODE);
	return err;
}

SEC(".struct_ops.link")
struct sched_ext_ops queues_ops = {
	.enqueue = (void *)queues_enqueue,
	.dispatch = (void *)queues_dispatch,
	.init = (void *)queues_init,
	.timeout_ms = TIMEOUT_MS,
	.name = "queues",
};
