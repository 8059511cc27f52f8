// SPDX-License-Identifier: GPL-2.0
/*
 * A scheduler that leaves scheduling to the kernel. Its maps and variables have
 * values of kinds that few programs have; init fills what is not initialised.
 */
typedef signed int s32;
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define SEC(name) __attribute__((section(name), used))
#define __uint(name, val) int(*name)[val]
#define __type(name, val) typeof(val) *name

#define BPF_MAP_TYPE_PERCPU_ARRAY 6

static void *(*const bpf_map_lookup_percpu_elem)(void *map, const void *key, u32 cpu) = (void *)195;

char LICENSE[] SEC("license") = "GPL";

/* its values have no type */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__uint(key_size, 4);
	__uint(value_size, 8);
} raw_counts SEC(".maps");

SEC("struct_ops.s/init")
s32 values_init(void)
{
	for (u32 cpu = 0; cpu < 2; cpu++) {
		u32 key = 1;
		u64 *count = bpf_map_lookup_percpu_elem(&raw_counts, &key, cpu);

		if (count)
			*count = 100 + cpu;
	}
	return 0;
}

struct sched_ext_ops {
	s32 (*init)(void);
	char name[128];
};

SEC(".struct_ops.link")
struct sched_ext_ops values_ops = {
	.init = (void *)values_init,
	.name = "values",
};
