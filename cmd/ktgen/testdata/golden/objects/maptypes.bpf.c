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

struct bpf_cgroup_storage_key {
	u64 cgroup_inode_id;
	u32 attach_type;
};

struct {
	__uint(type, 19); /* BPF_MAP_TYPE_CGROUP_STORAGE_DEPRECATED */
	__type(key, struct bpf_cgroup_storage_key);
	__type(value, struct job);
} by_attachment SEC(".maps");

struct {
	__uint(type, 21); /* BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE_DEPRECATED */
	__type(key, u64);
	__type(value, struct job);
} by_cgroup SEC(".maps");

char LICENSE[] SEC("license") = "GPL";
