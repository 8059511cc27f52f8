// SPDX-License-Identifier: GPL-2.0
/* Every kind of type that ktgen reads, in the maps and globals of one object. */

#define SEC(name) __attribute__((section(name), used))
#define __uint(name, val) int(*name)[val]
#define __type(name, val) typeof(val) *name
#define __array(name, val) typeof(val) *name[]
#define __kptr __attribute__((btf_type_tag("kptr")))
#define __arena __attribute__((address_space(1)))
#define __packed __attribute__((packed))

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed char s8;
typedef short s16;
typedef int s32;
typedef long long s64;

struct task_struct;
struct cgroup;

enum policy { POLICY_NORMAL, POLICY_BATCH = 3, POLICY_OTHER = 3 };
enum delta { DELTA_DOWN = -1, DELTA_NONE, DELTA_UP };
enum wide { WIDE_SMALL = 1, WIDE_LARGE = 1ull << 40 };

enum enqueue {
	ENQ_WAKEUP = 1,
	ENQ_HEAD = 1 << 4,
	ENQ_PREEMPT = 1ull << 32,
	ENQ_LAST = 1ull << 41,
	ENQ_INTERNAL_MASK = 0xffull << 56,
};
enum slot { SLOT_NONE, SLOT_A, SLOT_B, SLOT_C, SLOT_D }; /* counts, and has no flags */

typedef struct {
	u32 x, y;
} point_t;

struct scalars {
	u8 u8;
	s8 s8;
	u16 u16;
	s16 s16;
	u32 u32;
	s32 s32;
	u64 u64;
	s64 s64;
	_Bool flag;
	char letter;
	float single;
	double twice;
	__int128 huge;
	unsigned __int128 uhuge;
	enum policy policy;
	enum delta delta;
	enum wide wide;
};

struct bits {
	u32 one : 1;
	u32 twelve : 12; /* crosses a byte */
	s32 negative : 6;
	u64 big : 33;
	u64 rest : 31;
	enum policy policy : 2;
	_Bool yes : 1;
	u64 first : 63;
	u64 second : 60;
};

struct arrays {
	char name[16];
	char names[2][8];
	u8 bytes[4];
	u32 matrix[2][3];
	point_t points[2];
	_Bool flags[3];
	enum delta deltas[2];
	u64 empty[0];
};

struct __packed tight {
	u8 a;
	u64 b;
	u16 c;
	point_t p;
};

struct nested {
	u32 id;
	struct {
		u32 inner;
		union {
			u64 whole;
			struct {
				u32 lo, hi;
			};
			struct node *maybe;
		};
	};
	struct {
		u64 sum;
		enum { MODE_A, MODE_B } mode;
	} named;
	union {
		u64 raw;
		u8 bytes[8];
		float real;
	} view;
};

struct names {
	u32 type;
	u32 func;
	u32 foo_bar;
	u32 fooBar;
	u32 FooBar;
	u32 _pad;
	u32 pad;
	u32 __;
	u32 _1st;
	u32 String;
};

struct node {
	u64 value;
	struct node *next;
	struct node *prev;
	point_t *at;
	u32 *count;
};

struct pointers {
	struct node *node;
	struct task_struct __kptr *task;
	struct cgroup *cgroup;
	void *data;
	char *text;
	int (*callback)(u64 x);
	struct node **indirect;
};

struct flexible {
	u32 n;
	u32 items[];
};

/* Two elements fit into the padding behind the count. */
struct padded {
	u64 id;
	u32 n;
	u16 items[];
};

struct message {
	u32 length;
	enum policy policy;
	char text[];
};

struct cpumask {
	unsigned long bits[4];
};
typedef struct cpumask cpumask_t;

struct flags {
	enum enqueue enqueue;
	enum slot slot;
	u32 wakeup : 1;
	enum enqueue narrow : 5;
};

struct masks {
	cpumask_t allowed;
	struct cpumask nodes[2];
	u8 cores[3]; /* a bitmap by bytes */
};

struct bpf_spin_lock {
	u32 val;
};
struct bpf_timer {
	u64 __opaque[2];
} __attribute__((aligned(8)));
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
struct bpf_refcount {
	u32 __opaque[1];
} __attribute__((aligned(4)));

/* What the kernel keeps in values on behalf of programs. */
struct kernel_parts {
	struct bpf_spin_lock lock;
	struct bpf_refcount refs;
	struct bpf_timer timer;
	struct bpf_list_head head;
	struct bpf_list_node link;
	struct bpf_rb_root root;
	struct bpf_rb_node branch;
};

struct key {
	u16 major;
	u32 minor; /* two bytes of padding before */
	u8 bytes[2];
};

/* 200 bytes of what schedulers keep for a task; benchmarks decode it. */
struct task {
	u64 vtime, deadline, slice, runtime;
	u32 weight, cpu;
	s32 pid, tgid;
	char comm[16];
	enum policy policy;
	_Bool queued, kthread;
	u16 layer;
	u64 per_llc[8];
	point_t span[2];
	u32 flags : 3, last_cpu : 12;
	u32 generation;
	u64 counters[5];
};

#define MAP(name, map_type, k, v, n)        \
	struct {                            \
		__uint(type, map_type);     \
		__uint(max_entries, n);     \
		__type(key, k);             \
		__type(value, v);           \
	} name SEC(".maps")

#define HASH 1
#define ARRAY 2
#define PERCPU_HASH 5
#define PERCPU_ARRAY 6
#define LRU_HASH 9
#define PROG_ARRAY 3
#define STACK_TRACE 7
#define LPM_TRIE 11
#define ARRAY_OF_MAPS 12
#define HASH_OF_MAPS 13
#define QUEUE 22
#define STACK 23
#define RINGBUF 27
#define TASK_STORAGE 29
#define BLOOM_FILTER 30
#define USER_RINGBUF 31
#define CGRP_STORAGE 32

MAP(scalars, ARRAY, u32, struct scalars, 8);
MAP(bits, ARRAY, u32, struct bits, 8);
MAP(arrays, ARRAY, u32, struct arrays, 8);
MAP(tight, ARRAY, u32, struct tight, 8);
MAP(nested, ARRAY, u32, struct nested, 8);
MAP(names, ARRAY, u32, struct names, 8);
MAP(pointers, ARRAY, u32, struct pointers, 8);
MAP(flexible, ARRAY, u32, struct flexible, 8);
MAP(bench, ARRAY, u32, struct task, 1024);
MAP(nodes, HASH, u32, struct node, 64);
MAP(by_key, HASH, struct key, u64, 8);
MAP(recent, LRU_HASH, u64, enum policy, 8);
MAP(per_cpu, PERCPU_ARRAY, u32, struct node, 2);
MAP(per_cpu_by_name, PERCPU_HASH, point_t, s64, 8);
MAP(a_name_longer_than_the_kernel_keeps, ARRAY, u32, u64, 2);
MAP(matrix, ARRAY, u32, typeof(u64[2][2]), 2);

struct prefix4 {
	u32 prefixlen;
	u8 data[4];
};

struct prefix6 {
	u32 prefixlen;
	u32 data[4];
};

struct by_path {
	u32 prefixlen;
	u32 root, leaf;
};

MAP(routes, LPM_TRIE, struct prefix4, u64, 8);
MAP(routes6, LPM_TRIE, struct prefix6, u32, 8);
MAP(paths, LPM_TRIE, struct by_path, u32, 8);
MAP(cgroups, CGRP_STORAGE, s32, struct node, 0);

struct {
	__uint(type, QUEUE);
	__uint(max_entries, 8);
	__type(value, u64);
} waiting SEC(".maps");

struct {
	__uint(type, STACK_TRACE);
	__uint(max_entries, 8);
	__uint(key_size, 4);
	__uint(value_size, 64);
} stacks SEC(".maps");

struct {
	__uint(type, PROG_ARRAY);
	__uint(max_entries, 6);
	__uint(key_size, 4);
	__uint(value_size, 4);
} programs SEC(".maps");

struct {
	__uint(type, STACK);
	__uint(max_entries, 8);
	__type(value, struct key);
} undo SEC(".maps");

struct {
	__uint(type, TASK_STORAGE);
	__uint(map_flags, 1);
	__type(key, s32);
	__type(value, struct node);
} tasks SEC(".maps");

struct {
	__uint(type, ARRAY);
	__uint(max_entries, 2);
	__uint(key_size, 4);
	__uint(value_size, 12);
} untyped SEC(".maps");

struct {
	__uint(type, 33); /* BPF_MAP_TYPE_ARENA */
	__uint(map_flags, 1024);
	__uint(max_entries, 4);
} arena SEC(".maps");

MAP(padded, ARRAY, u32, struct padded, 8);
MAP(messages, ARRAY, u32, struct message, 8);
MAP(flags, ARRAY, u32, struct flags, 8);
MAP(masks, ARRAY, u32, struct masks, 8);
MAP(kernel_parts, ARRAY, u32, struct kernel_parts, 8);

extern int LINUX_KERNEL_VERSION __attribute__((section(".kconfig")));
extern _Bool CONFIG_PREEMPT __attribute__((section(".kconfig"))) __attribute__((weak));

struct per_node {
	__uint(type, ARRAY);
	__uint(max_entries, 4);
	__type(key, u32);
	__type(value, struct node);
};

struct {
	__uint(type, ARRAY_OF_MAPS);
	__uint(max_entries, 4);
	__uint(key_size, 4);
	__array(values, struct per_node);
} per_nodes SEC(".maps");

struct {
	__uint(type, HASH_OF_MAPS);
	__uint(max_entries, 4);
	__type(key, point_t);
	__array(values, struct {
		__uint(type, HASH);
		__uint(max_entries, 4);
		__type(key, u32);
		__type(value, enum policy);
	});
} per_point SEC(".maps");

struct {
	__uint(type, HASH_OF_MAPS);
	__uint(max_entries, 4);
	__uint(key_size, 4); /* its keys have no type */
	__array(values, struct per_node);
} per_unknown SEC(".maps");

struct {
	__uint(type, ARRAY_OF_MAPS);
	__uint(max_entries, 2);
	__uint(key_size, 4);
	__uint(value_size, 4);
} unknown_maps SEC(".maps");

struct {
	__uint(type, RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

struct {
	__uint(type, USER_RINGBUF);
	__uint(max_entries, 4096);
} wishes SEC(".maps") __attribute__((btf_decl_tag("ktgen:record:message")));

struct {
	__uint(type, BLOOM_FILTER);
	__uint(max_entries, 16);
	__type(value, u32);
} seen SEC(".maps");

u32 __arena shared_count SEC(".addr_space.1") = 7;
point_t __arena shared_points[3] SEC(".addr_space.1");

u32 nr_online;
u64 counters[4];
struct node *head;
static volatile u32 hidden;
struct scalars table[128]; /* large enough to be read by element */
u64 grid[64][32];
const volatile u64 limit = 1000;
u64 slice SEC(".data") = 5;
u64 tuned SEC(".data.tuning") = 6;

SEC("syscall")
int touch(void *ctx)
{
	nr_online += hidden++ + limit + slice + tuned + counters[0] + grid[1][1];
	head = 0;
	tuned += LINUX_KERNEL_VERSION + CONFIG_PREEMPT;
	return table[3].u32;
}

char _license[] SEC("license") = "GPL";
