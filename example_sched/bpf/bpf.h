/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What sched.bpf.c needs of BPF and of the kernel, and nothing else, so that
 * clang alone builds it: no vmlinux.h, no libbpf headers.
 *
 * Kernel structures are declared with the members that are used, in any order:
 * preserve_access_index makes clang record each access by name (CO-RE), and
 * the loader fills in the offsets of the kernel it meets.
 */
#pragma once

typedef signed int s32;
typedef unsigned int u32;
typedef signed long long s64;
typedef unsigned long long u64;
typedef unsigned char u8;
typedef unsigned short u16;

#define bool _Bool
#define true 1
#define false 0
#define NULL ((void *)0)

#define SEC(name) __attribute__((section(name), used))
#define __always_inline inline __attribute__((always_inline))
#define __noinline __attribute__((noinline))
#define __core __attribute__((preserve_access_index))
#define __ksym __attribute__((section(".ksyms")))
#define __weak __attribute__((weak))

/* A pointer into an arena: clang emits the casts between the two views. */
#define __arena __attribute__((address_space(1)))

/*
 * A store that clang makes as it stands. It merges plain ones into a memset,
 * and clang 19 forgets the arena cast of that.
 */
#define WRITE_ONCE(x, val) (*(volatile typeof(x) *)&(x) = (val))

/* Members of a map definition in .maps, as BTF carries them to the loader. */
#define __uint(name, val) int(*name)[val]
#define __ulong(name, val) enum { __ulong_##name = val } name
#define __type(name, val) typeof(val) *name

/* enum bpf_map_type and map flags, include/uapi/linux/bpf.h. */
#define BPF_MAP_TYPE_HASH 1
#define BPF_MAP_TYPE_PERCPU_ARRAY 6
#define BPF_MAP_TYPE_TASK_STORAGE 29
#define BPF_MAP_TYPE_ARENA 33
#define BPF_ANY 0
#define BPF_F_NO_PREALLOC (1U << 0)
#define BPF_F_MMAPABLE (1U << 10)
#define BPF_LOCAL_STORAGE_GET_F_CREATE (1ULL << 0)
#define NUMA_NO_NODE (-1)

/* What the members below point at or hold, from include/linux/sched.h. */
struct cpumask;
struct cgroup;

struct sched_ext_entity {
	u32 weight;
} __core;

struct task_struct {
	s32 pid;
	s32 tgid;
	s32 static_prio;
	u32 policy;
	u32 flags;
	char comm[16];
	struct sched_ext_entity scx;
} __core;

#define PF_KTHREAD 0x00200000

struct scx_init_task_args {
	bool fork;
} __core;

struct scx_exit_task_args {
	bool cancelled;
} __core;

/* Declared for its name: the values are those of the kernel that runs. */
enum scx_exit_kind { SCX_EXIT_NONE = 0 };

struct scx_exit_info {
	enum scx_exit_kind kind;
	s64 exit_code;
	const char *reason;
	char *msg;
} __core;

/*
 * The members that are set below. The loader matches them to the kernel's
 * struct sched_ext_ops by name.
 */
struct sched_ext_ops {
	s32 (*select_cpu)(struct task_struct *p, s32 prev_cpu, u64 wake_flags);
	void (*enqueue)(struct task_struct *p, u64 enq_flags);
	void (*dispatch)(s32 cpu, struct task_struct *prev);
	void (*running)(struct task_struct *p);
	void (*stopping)(struct task_struct *p, bool runnable);
	void (*set_weight)(struct task_struct *p, u32 weight);
	s32 (*init_task)(struct task_struct *p, struct scx_init_task_args *args);
	void (*exit_task)(struct task_struct *p, struct scx_exit_task_args *args);
	s32 (*init)(void);
	void (*exit)(struct scx_exit_info *info);
	u64 flags;
	u32 timeout_ms;
	char name[128];
};

/* Queues and flags of sched_ext, kernel/sched/ext.c. */
#define SCX_DSQ_FLAG_BUILTIN (1ULL << 63)
#define SCX_DSQ_LOCAL (SCX_DSQ_FLAG_BUILTIN | 2)

/* Helpers, by their number in include/uapi/linux/bpf.h. */
static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*const bpf_map_update_elem)(void *map, const void *key, const void *value,
					 u64 flags) = (void *)2;
static long (*const bpf_map_delete_elem)(void *map, const void *key) = (void *)3;
static u64 (*const bpf_ktime_get_ns)(void) = (void *)5;
static u32 (*const bpf_get_smp_processor_id)(void) = (void *)8;
static long (*const bpf_probe_read_kernel)(void *dst, u32 size, const void *src) = (void *)113;
static long (*const bpf_probe_read_kernel_str)(void *dst, u32 size, const void *src) = (void *)115;
static void *(*const bpf_task_storage_get)(void *map, struct task_struct *task, void *value,
					   u64 flags) = (void *)156;

/* Kernel functions, found by name at load time. */
s32 scx_bpf_create_dsq(u64 dsq_id, s32 node) __ksym;
s32 scx_bpf_select_cpu_dfl(struct task_struct *p, s32 prev_cpu, u64 wake_flags, bool *is_idle) __ksym;
void scx_bpf_dsq_insert(struct task_struct *p, u64 dsq_id, u64 slice, u64 enq_flags) __ksym;
void scx_bpf_dsq_insert_vtime(struct task_struct *p, u64 dsq_id, u64 slice, u64 vtime,
			      u64 enq_flags) __ksym;
bool scx_bpf_dsq_move_to_local(u64 dsq_id) __ksym;
const struct cpumask *scx_bpf_get_online_cpumask(void) __ksym;
void scx_bpf_put_cpumask(const struct cpumask *cpumask) __ksym;
u32 bpf_cpumask_weight(const struct cpumask *cpumask) __ksym;
void __arena *bpf_arena_alloc_pages(void *map, void __arena *addr, u32 page_cnt, int node_id,
				    u64 flags) __ksym;

struct bpf_iter_num {
	u64 __opaque[1];
} __attribute__((aligned(8)));

int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end) __ksym;
int *bpf_iter_num_next(struct bpf_iter_num *it) __ksym;
void bpf_iter_num_destroy(struct bpf_iter_num *it) __ksym;

/* The arguments of a struct_ops callback arrive as an array of u64. */
#define STRUCT_OPS_ARG(ctx, n, type) ((type)(ctx)[n])
