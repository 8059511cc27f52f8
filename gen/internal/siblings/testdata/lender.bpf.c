// SPDX-License-Identifier: GPL-2.0
#include "common.h"

struct lease {
	u64 id;
	struct lease *next;
	u32 state;
};

struct {
	__uint(type, 2); /* BPF_MAP_TYPE_ARRAY */
	__uint(max_entries, 4);
	__type(key, u32);
	__type(value, struct lease);
} leases SEC(".maps");

char LICENSE[] SEC("license") = "GPL";
