// SPDX-License-Identifier: GPL-2.0
#include "common.h"

#define holds(type, node) __tag("contains:" #type ":" #node)

struct bpf_list_head {
	u64 __opaque[2];
} __attribute__((aligned(8)));
struct bpf_list_node {
	u64 __opaque[3];
} __attribute__((aligned(8)));
struct bpf_rb_root {
	u64 __opaque[2];
} __attribute__((aligned(8)));
struct bpf_rb_node {
	u64 __opaque[4];
} __attribute__((aligned(8)));

/* A tree of objects with a list of their own. */
struct group {
	struct bpf_rb_node branch;
	u32 weight;
	struct bpf_list_head members holds(member, link);
};

struct member {
	u32 pid;
	struct bpf_list_node link;
};

struct heads {
	struct bpf_rb_root groups holds(group, branch);
	struct bpf_list_head by_cpu[4] holds(member, link);
	struct bpf_list_head unknown holds(nothing, link);
	struct bpf_list_head unlinked holds(member, name);
	struct bpf_list_head unsaid;
};

struct {
	__uint(type, 2); /* BPF_MAP_TYPE_ARRAY */
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct heads);
} heads SEC(".maps");

/* So that the types are in the object's BTF. */
struct group a_group;
struct member a_member;

char LICENSE[] SEC("license") = "GPL";
