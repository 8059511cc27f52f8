// SPDX-License-Identifier: GPL-2.0
#define SECOND
#include "common.h"

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
} layers SEC(".maps");

struct node *list;
u64 nr_layers;

char LICENSE[] SEC("license") = "GPL";
