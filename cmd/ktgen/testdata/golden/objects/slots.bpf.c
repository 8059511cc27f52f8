// SPDX-License-Identifier: GPL-2.0
#include "common.h"

#define SLOTS(name, map_type, size)     \
	struct {                        \
		__uint(type, map_type); \
		__uint(max_entries, 8); \
		__uint(key_size, 4);    \
		__uint(value_size, size); \
	} name SEC(".maps")

SLOTS(programs, 3, 4);
SLOTS(perf_events, 4, 4);
SLOTS(cgroups, 8, 4);
SLOTS(devices, 14, 4);
SLOTS(sockets, 15, 4);
SLOTS(cpus, 16, 4);
SLOTS(xdp_sockets, 17, 4);
SLOTS(reuseport_sockets, 20, 8);

struct bpf_devmap_val {
	u32 ifindex;
	union {
		int fd;
		u32 id;
	} bpf_prog;
};

struct {
	__uint(type, 14); /* BPF_MAP_TYPE_DEVMAP */
	__uint(max_entries, 8);
	__type(key, u32);
	__type(value, struct bpf_devmap_val);
} devices_with_programs SEC(".maps");

struct {
	__uint(type, 25); /* BPF_MAP_TYPE_DEVMAP_HASH */
	__uint(max_entries, 8);
	__type(key, u32);
	__type(value, u32);
} devices_by_key SEC(".maps");

struct {
	__uint(type, 18); /* BPF_MAP_TYPE_SOCKHASH */
	__uint(max_entries, 8);
	__type(key, u64);
	__type(value, u64);
} sockets_by_key SEC(".maps");

char LICENSE[] SEC("license") = "GPL";
