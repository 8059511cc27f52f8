// SPDX-License-Identifier: GPL-2.0
#include "common.h"

#define __kptr __attribute__((btf_type_tag("kptr")))

#define __core __attribute__((preserve_access_index))

struct sched_ext_entity {
	u32 weight;
	u64 slice;
} __core;

struct task_struct {
	s32 pid;
	s32 tgid;
	char comm[16];
	struct task_struct *real_parent;
	struct sched_ext_entity scx;
} __core;

struct running {
	struct task_struct __kptr *task;
	u64 since;
};

struct {
	__uint(type, 2); /* BPF_MAP_TYPE_ARRAY */
	__uint(max_entries, 8);
	__type(key, u32);
	__type(value, struct running);
} running SEC(".maps");

/* So that the object's BTF defines the structs. */
SEC("raw_tp/sched_switch")
int look(struct task_struct **ctx)
{
	return ctx[0]->scx.weight + ctx[0]->pid;
}

char LICENSE[] SEC("license") = "GPL";
