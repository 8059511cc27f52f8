// SPDX-License-Identifier: GPL-2.0
/* A scheduler that is linked of two objects, whose static variables share names. */
#include "../../../../example_sched/bpf/bpf.h"

char LICENSE[] SEC("license") = "GPL";

int lib_touch(u32 by);

static volatile u32 calls = 0x11;
static volatile u64 deep = 5;

SEC("struct_ops/enqueue")
void linked_enqueue(u64 *ctx)
{
	scx_bpf_dsq_insert((struct task_struct *)ctx[0], (1ULL << 63) | 1, 20000000, ctx[1]);
}

SEC("struct_ops.s/init")
s32 linked_init(u64 *ctx)
{
	calls += 1;
	deep += 1;
	return lib_touch(1);
}

SEC(".struct_ops.link")
struct sched_ext_ops linked_ops = {
	.enqueue = (void *)linked_enqueue,
	.init = (void *)linked_init,
	.name = "linked",
};
