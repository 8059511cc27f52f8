// SPDX-License-Identifier: GPL-2.0
/*
 * A scheduler that leaves scheduling to the kernel, with maps that user space fills
 * by file descriptors and numbers of devices.
 */
typedef signed int s32;
typedef unsigned int u32;
typedef unsigned long long u64;

#define SEC(name) __attribute__((section(name), used))
#define __uint(name, val) int(*name)[val]
#define __type(name, val) typeof(val) *name

char LICENSE[] SEC("license") = "GPL";

/* include/uapi/linux/bpf.h */
struct bpf_devmap_val {
	u32 ifindex;
	union {
		int fd;
		u32 id;
	} bpf_prog;
};
struct bpf_cpumap_val {
	u32 qsize;
	union {
		int fd;
		u32 id;
	} bpf_prog;
};

struct {
	__uint(type, 14); /* BPF_MAP_TYPE_DEVMAP */
	__uint(max_entries, 4);
	__type(key, u32);
	__type(value, struct bpf_devmap_val);
} devices SEC(".maps");

struct {
	__uint(type, 25); /* BPF_MAP_TYPE_DEVMAP_HASH */
	__uint(max_entries, 4);
	__type(key, u32);
	__type(value, u32);
} devices_by_key SEC(".maps");

struct {
	__uint(type, 16); /* BPF_MAP_TYPE_CPUMAP */
	__uint(max_entries, 2);
	__type(key, u32);
	__type(value, struct bpf_cpumap_val);
} cpus SEC(".maps");

struct cookie {
	u32 port;
	u32 family;
};
struct {
	__uint(type, 18); /* BPF_MAP_TYPE_SOCKHASH */
	__uint(max_entries, 4);
	__type(key, struct cookie);
	__type(value, u64);
} sockets_by_cookie SEC(".maps");

SEC("struct_ops.s/init")
s32 references_init(void)
{
	return 0;
}

struct sched_ext_ops {
	s32 (*init)(void);
	char name[128];
};

SEC(".struct_ops.link")
struct sched_ext_ops references_ops = {
	.init = (void *)references_init,
	.name = "references",
};
