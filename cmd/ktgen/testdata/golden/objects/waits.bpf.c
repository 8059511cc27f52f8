// SPDX-License-Identifier: GPL-2.0
#include "common.h"

#define __kptr __attribute__((btf_type_tag("kptr")))

/* The kernel's, too, and this program knows other members of it. */
struct task_struct {
	s32 pid;
	u32 flags;
};

struct {
	__uint(type, 2); /* BPF_MAP_TYPE_ARRAY */
	__uint(max_entries, 8);
	__type(key, u32);
	__type(value, struct task_struct __kptr *);
} waiting SEC(".maps");

char LICENSE[] SEC("license") = "GPL";
