// SPDX-License-Identifier: GPL-2.0
#include "common.h"

/* Neither a map nor a variable leads to it. */
struct hidden {
	u32 id;
	struct node *head;
};

struct stats {
	u64 nr;
} __tag("shared with user space");

struct stats_ {
	u64 nr;
};

struct {
	__uint(type, 1); /* BPF_MAP_TYPE_HASH */
	__uint(max_entries, 64);
	__type(key, s32);
	__type(value, struct run);
} runs SEC(".maps");

struct {
	__uint(type, 2); /* BPF_MAP_TYPE_ARRAY */
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct limits);
} limits SEC(".maps") __tag("read by the tests");

struct {
	__uint(type, 6); /* BPF_MAP_TYPE_PERCPU_ARRAY */
	__uint(max_entries, 4);
	__type(key, u32);
	__type(value, struct stats);
} stats SEC(".maps");

struct {
	__uint(type, 2);
	__uint(max_entries, 4);
	__type(key, u32);
	__type(value, struct stats_);
} stats_old SEC(".maps");

u64 nr_runs __tag("counts up");
struct hidden *(*seen)(void);

SEC("syscall") int probe(void *ctx)
{
	struct hidden h = { .id = nr_runs };

	asm volatile("" ::"r"(&h) : "memory");
	return h.id;
}
char LICENSE[] SEC("license") = "GPL";
