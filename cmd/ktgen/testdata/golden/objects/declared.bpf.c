// SPDX-License-Identifier: GPL-2.0
#include "common.h"

/* Declared here, and defined nowhere. */
struct task_struct;

struct waiting {
	struct task_struct *task;
	u64 since;
};

struct {
	__uint(type, 2); /* BPF_MAP_TYPE_ARRAY */
	__uint(max_entries, 8);
	__type(key, u32);
	__type(value, struct waiting);
} waiting SEC(".maps");

char LICENSE[] SEC("license") = "GPL";
