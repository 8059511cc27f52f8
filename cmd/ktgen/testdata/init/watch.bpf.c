// SPDX-License-Identifier: GPL-2.0
/*
 * watch: leaves all decisions to sched_ext, and counts how often tasks run.
 */
#include "bpf.h"

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, s32); /* pid */
	__type(value, u64);
} runs SEC(".maps");

SEC("struct_ops/running")
void watch_running(u64 *args)
{
	struct task_struct *p = (void *)args[0];
	s32 pid = p->pid;
	u64 first = 1, *n = bpf_map_lookup_elem(&runs, &pid);

	if (n)
		*n += 1;
	else
		bpf_map_update_elem(&runs, &pid, &first, BPF_ANY);
}

SEC(".struct_ops.link")
struct sched_ext_ops watch_ops = {
	.running = (void *)watch_running,
	.name = "watch",
};
