// SPDX-License-Identifier: GPL-2.0
/* A scheduler whose object has operations of other kinds, too: two algorithms of congestion control. */
#include "../../example_sched/bpf/bpf.h"

char LICENSE[] SEC("license") = "GPL";

#define SHARED_DSQ 0

struct sock;

struct tcp_congestion_ops {
	u32 (*ssthresh)(struct sock *sk);
	void (*cong_avoid)(struct sock *sk, u32 ack, u32 acked);
	u32 (*undo_cwnd)(struct sock *sk);
	char name[16];
};

SEC("struct_ops/enqueue")
void beside_enqueue(u64 *args)
{
	scx_bpf_dsq_insert(STRUCT_OPS_ARG(args, 0, struct task_struct *), SHARED_DSQ, 1000000, args[1]);
}

SEC("struct_ops/dispatch")
void beside_dispatch(u64 *args)
{
	scx_bpf_dsq_move_to_local(SHARED_DSQ);
}

SEC("struct_ops.s/init")
s32 beside_init(u64 *args)
{
	return scx_bpf_create_dsq(SHARED_DSQ, NUMA_NO_NODE);
}

SEC("struct_ops/ssthresh")
u32 beside_ssthresh(u64 *args)
{
	return 5;
}

SEC("struct_ops/cong_avoid")
void beside_cong_avoid(u64 *args)
{
}

SEC("struct_ops/undo_cwnd")
u32 beside_undo_cwnd(u64 *args)
{
	return 10;
}

SEC(".struct_ops.link")
struct sched_ext_ops beside_ops = {
	.enqueue = (void *)beside_enqueue,
	.dispatch = (void *)beside_dispatch,
	.init = (void *)beside_init,
	.timeout_ms = 20000,
	.name = "beside",
};

SEC(".struct_ops.link")
struct tcp_congestion_ops linked = {
	.ssthresh = (void *)beside_ssthresh,
	.cong_avoid = (void *)beside_cong_avoid,
	.undo_cwnd = (void *)beside_undo_cwnd,
	.name = "kt_linked",
};

SEC(".struct_ops")
struct tcp_congestion_ops unlinked = {
	.ssthresh = (void *)beside_ssthresh,
	.cong_avoid = (void *)beside_cong_avoid,
	.undo_cwnd = (void *)beside_undo_cwnd,
	.name = "kt_unlinked",
};
