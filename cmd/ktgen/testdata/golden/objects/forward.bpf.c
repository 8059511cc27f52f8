// SPDX-License-Identifier: GPL-2.0
#include "common.h"

/* Defined in another object of the package. */
struct running;

struct {
	__uint(type, 2); /* BPF_MAP_TYPE_ARRAY */
	__uint(max_entries, 8);
	__type(key, u32);
	struct running *value;
} forwarded SEC(".maps");

char LICENSE[] SEC("license") = "GPL";
