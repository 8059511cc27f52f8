// SPDX-License-Identifier: GPL-2.0
#include "common.h"

/* Larger than anything that becomes one Go value. */
struct huge {
	u64 slots[16 << 20];
};

struct {
	__uint(type, 2); /* BPF_MAP_TYPE_ARRAY */
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct huge);
} large SEC(".maps");

struct {
	__uint(type, 1);
	__uint(max_entries, 4);
	__type(key, u32);
	__type(value, struct run);
} runs SEC(".maps");

struct owner {
	struct huge *all;
	u64 (*slots)[16 << 20];
	u32 nr;
};

struct {
	__uint(type, 2); /* BPF_MAP_TYPE_ARRAY */
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct owner);
} owners SEC(".maps");

struct huge everything;
u32 nr_everything;

char LICENSE[] SEC("license") = "GPL";
