/* SPDX-License-Identifier: GPL-2.0 */
/* What the schedulers of this folder need of the kernel and of libbpf. */
#pragma once

#define SEC(name) __attribute__((section(name), used))
#define __uint(name, val) int(*name)[val]
#define __type(name, val) typeof(val) *name
#define __noinline __attribute__((noinline))
#define __always_inline inline __attribute__((always_inline))
#define __weak __attribute__((weak))
#define __ksym __attribute__((section(".ksyms")))
#define __core __attribute__((preserve_access_index))
#define __kptr __attribute__((btf_type_tag("kptr")))
#define __arena __attribute__((address_space(1)))
#define __arena_global __attribute__((address_space(1)))
#define NULL ((void *)0)
#define bool _Bool
#define true 1
#define false 0
#define offsetof(T, m) __builtin_offsetof(T, m)
#define container_of(ptr, T, m) ((T __arena *)((void __arena *)(ptr) - offsetof(T, m)))
#define READ_ONCE(x) (*(volatile typeof(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile typeof(x) *)&(x) = (v))
#define xchg(p, v) __sync_lock_test_and_set(p, v)
#define cmpxchg(p, old, new) __sync_val_compare_and_swap(p, old, new)

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef int s32;
typedef unsigned long long u64;
typedef long long s64;
typedef unsigned long ulong;

enum {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_TASK_STORAGE = 29,
	BPF_MAP_TYPE_CGRP_STORAGE = 32,
	BPF_MAP_TYPE_ARENA = 33,
	BPF_F_NO_PREALLOC = 1,
	BPF_F_MMAPABLE = 1024,
	BPF_LOCAL_STORAGE_GET_F_CREATE = 1,
};

#define SCX_DSQ_GLOBAL ((1ULL << 63) | 1)
#define SCX_SLICE_DFL 20000000ULL

struct cpumask {
	u64 bits[128];
} __core;

struct bpf_cpumask {
	struct cpumask cpumask;
	u32 usage;
} __core;

struct kernfs_node {
	u64 id;
} __core;

struct cgroup {
	s32 level;
	struct kernfs_node *kn;
} __core;

struct sched_ext_entity {
	u64 dsq_vtime;
	u64 slice;
	u32 weight;
} __core;

struct mm_struct {
	u64 total_vm;
} __core;

struct task_struct {
	s32 pid;
	s32 tgid;
	s32 nr_cpus_allowed;
	u32 flags;
	u64 start_time;
	const struct cpumask *cpus_ptr;
	struct mm_struct *mm;
	struct task_struct *group_leader;
	struct sched_ext_entity scx;
} __core;

struct rq {
	u64 clock;
	u32 nr_running;
	struct task_struct *curr;
} __core;

struct scx_init_task_args {
	bool fork;
	struct cgroup *cgroup;
} __core;

struct scx_exit_task_args {
	bool cancelled;
} __core;

struct scx_cgroup_init_args {
	u32 weight;
} __core;

struct bpf_timer {
	u64 opaque[2];
} __attribute__((aligned(8)));

struct bpf_spin_lock {
	u32 val;
};

struct sched_ext_ops {
	s32 (*select_cpu)(struct task_struct *p, s32 prev_cpu, u64 wake_flags);
	void (*enqueue)(struct task_struct *p, u64 enq_flags);
	void (*dispatch)(s32 cpu, struct task_struct *prev);
	void (*tick)(struct task_struct *p);
	void (*runnable)(struct task_struct *p, u64 enq_flags);
	void (*running)(struct task_struct *p);
	void (*stopping)(struct task_struct *p, bool runnable);
	void (*quiescent)(struct task_struct *p, u64 deq_flags);
	void (*set_cpumask)(struct task_struct *p, const struct cpumask *cpumask);
	s32 (*init_task)(struct task_struct *p, struct scx_init_task_args *args);
	void (*exit_task)(struct task_struct *p, struct scx_exit_task_args *args);
	s32 (*cgroup_init)(struct cgroup *cgrp, struct scx_cgroup_init_args *args);
	void (*cgroup_exit)(struct cgroup *cgrp);
	void (*cgroup_move)(struct task_struct *p, struct cgroup *from, struct cgroup *to);
	s32 (*init)(void);
	u64 flags;
	u32 timeout_ms;
	char name[128];
};

static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*const bpf_map_update_elem)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static long (*const bpf_map_delete_elem)(void *map, const void *key) = (void *)3;
static u64 (*const bpf_ktime_get_ns)(void) = (void *)5;
static u32 (*const bpf_get_prandom_u32)(void) = (void *)7;
static u32 (*const bpf_get_smp_processor_id)(void) = (void *)8;
static long (*const bpf_spin_lock)(struct bpf_spin_lock *lock) = (void *)93;
static long (*const bpf_spin_unlock)(struct bpf_spin_lock *lock) = (void *)94;
static long (*const bpf_probe_read_kernel)(void *dst, u32 size, const void *from) = (void *)113;
static void *(*const bpf_task_storage_get)(void *map, struct task_struct *task, void *value, u64 flags) = (void *)156;
static long (*const bpf_task_storage_delete)(void *map, struct task_struct *task) = (void *)157;
static struct task_struct *(*const bpf_get_current_task_btf)(void) = (void *)158;
static long (*const bpf_for_each_map_elem)(void *map, void *callback, void *ctx, u64 flags) = (void *)164;
static long (*const bpf_timer_init)(struct bpf_timer *timer, void *map, u64 flags) = (void *)169;
static long (*const bpf_timer_set_callback)(struct bpf_timer *timer, void *callback) = (void *)170;
static long (*const bpf_timer_start)(struct bpf_timer *timer, u64 nsecs, u64 flags) = (void *)171;
static long (*const bpf_loop)(u32 nr, void *callback, void *ctx, u64 flags) = (void *)181;
static void *(*const bpf_kptr_xchg)(void *slot, void *ptr) = (void *)194;
static void *(*const bpf_map_lookup_percpu_elem)(void *map, const void *key, u32 cpu) = (void *)195;
static void *(*const bpf_cgrp_storage_get)(void *map, struct cgroup *cgrp, void *value, u64 flags) = (void *)210;

extern void __arena *bpf_arena_alloc_pages(void *map, void __arena *addr, u32 pages, int node, u64 flags) __ksym;
extern void bpf_arena_free_pages(void *map, void __arena *addr, u32 pages) __ksym;
extern struct bpf_cpumask *bpf_cpumask_create(void) __ksym;
extern void bpf_cpumask_release(struct bpf_cpumask *cpumask) __ksym;
extern void bpf_cpumask_set_cpu(u32 cpu, struct bpf_cpumask *cpumask) __ksym;
extern void bpf_cpumask_copy(struct bpf_cpumask *dst, const struct cpumask *src) __ksym;
extern bool bpf_cpumask_and(struct bpf_cpumask *dst, const struct cpumask *a, const struct cpumask *b) __ksym;
extern bool bpf_cpumask_test_cpu(u32 cpu, const struct cpumask *cpumask) __ksym;
extern bool bpf_cpumask_intersects(const struct cpumask *a, const struct cpumask *b) __ksym;
extern struct task_struct *bpf_task_from_pid(s32 pid) __ksym;
extern struct task_struct *bpf_task_acquire(struct task_struct *p) __ksym;
extern void bpf_task_release(struct task_struct *p) __ksym;
extern struct cgroup *bpf_cgroup_ancestor(struct cgroup *cgrp, int level) __ksym;
extern void bpf_cgroup_release(struct cgroup *cgrp) __ksym;
extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym;
extern struct rq *scx_bpf_cpu_rq(s32 cpu) __ksym;
extern s32 scx_bpf_create_dsq(u64 dsq_id, s32 node) __ksym;
extern s32 scx_bpf_task_cpu(const struct task_struct *p) __ksym;
extern void scx_bpf_kick_cpu(s32 cpu, u64 flags) __ksym;
extern void scx_bpf_dsq_insert(struct task_struct *p, u64 dsq_id, u64 slice, u64 enq_flags) __ksym;
extern void scx_bpf_dsq_insert_vtime(struct task_struct *p, u64 dsq_id, u64 slice, u64 vtime, u64 enq_flags) __ksym;
extern bool scx_bpf_dsq_move_to_local(u64 dsq_id) __ksym;
extern s32 scx_bpf_pick_idle_cpu(const struct cpumask *mask, u64 flags) __ksym;
extern struct cgroup *scx_bpf_task_cgroup(struct task_struct *p) __ksym;

/* Loops over linked data end by the verifier's count at the latest. */
static __always_inline bool can_loop(void)
{
	asm volatile goto("may_goto %l[out]" :::: out);
	return true;
out:
	return false;
}

#define ARENA(pages) \
	struct { \
		__uint(type, BPF_MAP_TYPE_ARENA); \
		__uint(map_flags, BPF_F_MMAPABLE); \
		__uint(max_entries, pages); \
	} arena SEC(".maps")

#define MAP(name, kind, n, K, V) \
	struct { \
		__uint(type, kind); \
		__uint(max_entries, n); \
		__type(key, K); \
		__type(value, V); \
	} name SEC(".maps")

#define STORAGE(name, kind, V) \
	struct { \
		__uint(type, kind); \
		__uint(map_flags, BPF_F_NO_PREALLOC); \
		__type(key, int); \
		__type(value, V); \
	} name SEC(".maps")

/* Operations take their arguments from the context: OP2(void, enqueue, struct task_struct *, p, u64, flags) { ... } */
#define OP0(R, name) \
	static __always_inline R name##_op(void); \
	SEC("struct_ops/" #name) R name(u64 *ctx) { return name##_op(); } \
	static __always_inline R name##_op(void)
#define OP1(R, name, T0, a0) \
	static __always_inline R name##_op(T0 a0); \
	SEC("struct_ops/" #name) R name(u64 *ctx) { return name##_op((T0)ctx[0]); } \
	static __always_inline R name##_op(T0 a0)
#define OP2(R, name, T0, a0, T1, a1) \
	static __always_inline R name##_op(T0 a0, T1 a1); \
	SEC("struct_ops/" #name) R name(u64 *ctx) { return name##_op((T0)ctx[0], (T1)ctx[1]); } \
	static __always_inline R name##_op(T0 a0, T1 a1)
#define OP3(R, name, T0, a0, T1, a1, T2, a2) \
	static __always_inline R name##_op(T0 a0, T1 a1, T2 a2); \
	SEC("struct_ops/" #name) R name(u64 *ctx) { return name##_op((T0)ctx[0], (T1)ctx[1], (T2)ctx[2]); } \
	static __always_inline R name##_op(T0 a0, T1 a1, T2 a2)

/* Puts a struct that no function takes into the object's types, where tools find it. */
#define DESCRIBE(tag) struct tag __arena *described_##tag

#define LICENSE() char _license[] SEC("license") = "GPL"
#define OPS(...) SEC(".struct_ops.link") struct sched_ext_ops ops = { __VA_ARGS__ }
#define DO(op) .op = (void *)op
