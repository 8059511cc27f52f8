// SPDX-License-Identifier: GPL-2.0
/* A scheduler of two objects in which names and types repeat. */
#define SEC(name) __attribute__((section(name), used))
#define __core __attribute__((preserve_access_index))
#define __ksym __attribute__((section(".ksyms")))
#define __uint(name, val) int(*name)[val]
#define __type(name, val) typeof(val) *name

typedef signed int s32;
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

static long (*const bpf_trace_printk)(const char *fmt, u32 size, ...) = (void *)6;
static long (*const bpf_map_update_elem)(void *map, const void *key, const void *value, u64 flags) = (void *)2;

/* as libbpf and schedulers define them: two macros, whose texts end in one name in Go */
#define bpf_printk(fmt, args...)                                          \
	({                                                                \
		static const char ____fmt[] = fmt;                        \
		bpf_trace_printk(____fmt, sizeof(____fmt), ##args);       \
	})
#define report(fmt, args...)                                              \
	({                                                                \
		static char ___fmt[] = fmt;                               \
		u64 ___param[] = { args };                                \
		bpf_trace_printk(___fmt, sizeof(___fmt), ___param[0]);    \
	})

char LICENSE[] SEC("license") = "GPL";

int lib_touch(u32 by);

struct list_head {
	struct list_head *next, *prev;
} __core;

struct sched_ext_entity {
	u32 weight;
} __core;

/* what this file reads of a task */
struct task_struct {
	s32 pid;
	struct sched_ext_entity scx;
	s32 static_prio;
	char comm[16];
	struct list_head tasks;
	struct list_head children;
	struct list_head sibling;
} __core;

/* a task of another kernel, and of this one: the member was called state */
struct task_struct___before {
	long state;
} __core;
struct task_struct___now {
	u32 __state;
} __core;

void scx_bpf_dsq_insert(struct task_struct *p, u64 dsq, u64 slice, u64 flags) __ksym;

/* The other file has the same struct, and another task_struct. */
struct waiting {
	struct task_struct *task;
	u64 since;
};

/* The other file has another struct of that name. */
struct totals {
	u32 enqueued;
};

struct {
	__uint(type, 1); /* BPF_MAP_TYPE_HASH */
	__uint(max_entries, 64);
	__type(key, u32);
	__type(value, struct waiting);
} waiting_here SEC(".maps");

struct task_struct___now *last;
struct totals totals_here;
volatile u64 seen_state;
static volatile const char mode[] = "idle"; /* loaders set it */

SEC("struct_ops/enqueue")
void repeats_enqueue(u64 *ctx)
{
	struct task_struct *p = (struct task_struct *)ctx[0];
	static char state[] = "stopped";
	u32 key = 0;
	struct waiting value = { p, 1 };

	bpf_printk("pid %d", p->pid);
	bpf_printk("pid %d of mode %c", p->pid, mode[0]);
	report("state %d", seen_state);
	*(volatile char *)state = 'r';
	totals_here.enqueued++;
	last = (void *)p;
	if (__builtin_preserve_field_info(((struct task_struct___before *)p)->state, 2))
		seen_state = ((struct task_struct___before *)p)->state;
	else
		seen_state = ((struct task_struct___now *)p)->__state;
	bpf_map_update_elem(&waiting_here, &key, &value, 0);
	lib_touch(1);
	scx_bpf_dsq_insert(p, (1ULL << 63) | 1, 20000000, ctx[1]);
}

struct sched_ext_ops {
	void (*enqueue)(struct task_struct *p, u64 flags);
	char name[128];
};

SEC(".struct_ops.link")
struct sched_ext_ops repeats_ops = {
	.enqueue = (void *)repeats_enqueue,
	.name = "repeats",
};
