// SPDX-License-Identifier: GPL-2.0
/* One of everything that a BPF object can hold, without a single include. */

#define SEC(name) __attribute__((section(name), used))
#define __uint(name, val) int(*name)[val]
#define __type(name, val) typeof(val) *name
#define __array(name, val) typeof(val) *name[]
#define __ulong(name, val) enum { name##_is = val } name
#define __hidden __attribute__((visibility("hidden")))
#define __weak __attribute__((weak))
#define __arena __attribute__((address_space(1)))
#define __tag(x) __attribute__((btf_decl_tag(x)))
#define __kptr __attribute__((btf_type_tag("kptr")))

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

struct task_struct;

enum policy { POLICY_NONE, POLICY_FAIR = 3, POLICY_BATCH = -1 };

struct key {
	u32 cgroup;
	u32 cpu;
};

struct value {
	u64 weight;
	enum policy policy;
	u32 runnable : 3, dirty : 1;
	struct task_struct __kptr *task;
	union {
		u64 raw;
		struct {
			u32 lo, hi;
		};
	};
	char comm[16];
};

struct inner_map {
	__uint(type, 2);
	__uint(max_entries, 8);
	__type(key, u32);
	__type(value, u64);
};

struct {
	__uint(type, 1);
	__uint(max_entries, 1024);
	__uint(map_flags, 1);
	__type(key, struct key);
	__type(value, struct value);
} by_key SEC(".maps") __tag("ktgen:by cgroup");

struct {
	__uint(type, 12);
	__uint(max_entries, 4);
	__uint(key_size, 4);
	__array(values, struct inner_map);
} outer SEC(".maps");

struct {
	__uint(type, 27);
	__uint(max_entries, 4096);
} ring SEC(".maps");

struct {
	__uint(type, 33);
	__uint(map_flags, 1024);
	__uint(max_entries, 16);
	__ulong(map_extra, 0x100000000000ull);
} arena __weak SEC(".maps");

struct {
	__uint(type, 2);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, 24);
	__uint(pinning, 1);
} opaque SEC(".maps");

const volatile u32 nr_cpus = 1;
u64 total SEC(".data") = 5;
u32 zeroed;
static volatile u32 counter;
__hidden u64 shared = 7;
__weak u32 overridable = 9;
u64 custom SEC(".data.percpu") = 1;
u64 constant SEC(".rodata.limits") = 3;
u8 buffer[64] SEC(".bss.big");
struct value __arena *head;
u64 __arena in_arena SEC(".addr_space.1") = 11;

extern int CONFIG_HZ SEC(".kconfig");
extern _Bool CONFIG_PREEMPT SEC(".kconfig") __weak;
extern char CONFIG_CC_VERSION_TEXT[5] SEC(".kconfig");
extern const void kernel_symbol SEC(".ksyms");
extern struct value typed_symbol SEC(".ksyms") __weak;
extern u64 kfunc(u64 x) SEC(".ksyms");
extern u64 optional_kfunc(u64 x) SEC(".ksyms") __weak;

struct sched_ops {
	int (*select_cpu)(struct task_struct *p, int prev_cpu, u64 flags);
	u32 flags;
	char name[16];
};

static void *(*map_lookup)(void *map, const void *key) = (void *)1;

static __attribute__((noinline)) u64 subprogram(u64 x)
{
	static volatile u32 calls;

	calls++;
	return x + counter + kfunc(x);
}

SEC("struct_ops/select_cpu")
int select_cpu(u64 *ctx)
{
	struct key k = { .cpu = nr_cpus };
	struct value *v = map_lookup(&by_key, &k);

	if (!v)
		return CONFIG_HZ;
	v->task = (struct task_struct *)ctx[0];
	total += subprogram(v->weight);
	if (optional_kfunc && CONFIG_PREEMPT)
		shared = optional_kfunc((u64)&kernel_symbol);
	if (&typed_symbol)
		zeroed = typed_symbol.policy;
	overridable += CONFIG_CC_VERSION_TEXT[0];
	in_arena++;
	buffer[0] = constant + custom;
	return head ? 1 : 0;
}

SEC(".struct_ops.link")
struct sched_ops zoo_ops = {
	.select_cpu = (void *)select_cpu,
	.flags = 1,
	.name = "zoo",
};

char _license[] SEC("license") = "GPL";
