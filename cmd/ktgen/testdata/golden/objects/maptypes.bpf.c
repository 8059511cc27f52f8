// SPDX-License-Identifier: GPL-2.0
#include "common.h"

struct job {
	u32 cpu;
	u64 since;
};

struct {
	__uint(type, 35); /* BPF_MAP_TYPE_RHASH */
	__uint(map_flags, 1);
	__uint(max_entries, 1024);
	__type(key, u64);
	__type(value, struct job);
} jobs SEC(".maps");

struct bpf_insn_array_value {
	u32 orig_off;
	u32 xlated_off;
	u32 jitted_off;
	u32 : 32;
};

struct {
	__uint(type, 34); /* BPF_MAP_TYPE_INSN_ARRAY */
	__uint(max_entries, 16);
	__type(key, u32);
	__type(value, struct bpf_insn_array_value);
} instructions SEC(".maps");

char LICENSE[] SEC("license") = "GPL";
