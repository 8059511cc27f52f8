// SPDX-License-Identifier: GPL-2.0
#include "common.h"

/* Another struct than the struct running of tasks.bpf.c. */
struct running {
	u32 cpu;
	u32 pid;
};

struct {
	__uint(type, 2); /* BPF_MAP_TYPE_ARRAY */
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct running);
} last SEC(".maps");

char LICENSE[] SEC("license") = "GPL";
