/* SPDX-License-Identifier: GPL-2.0 */
/* What the programs of this folder share: an arena, and the kernel's functions
 * that schedulers with their own data structures call. */
#pragma once
#include "../cast.h"

#define __arena __attribute__((address_space(1)))
#define __kptr __attribute__((btf_type_tag("kptr")))
#define __arg_arena __attribute__((btf_decl_tag("arg:arena")))
#define barrier() asm volatile("" ::: "memory")
#define container_of(ptr, type, member) ((type __arena *)((void __arena *)(ptr) - __builtin_offsetof(type, member)))
#define READ_ONCE(x) (*(volatile typeof(x) *)&(x))
#define WRITE_ONCE(x, val) (*(volatile typeof(x) *)&(x) = (val))
#define for_times(i, n) for (u32 i = 0; i < (n); i++)

typedef unsigned char u8;
typedef unsigned short u16;
typedef _Bool bool;
#define true 1
#define false 0

extern void __arena *bpf_arena_alloc_pages(void *map, void __arena *addr, u32 pages, int node, u64 flags) __ksym;
extern void bpf_arena_free_pages(void *map, void __arena *addr, u32 pages) __ksym;

struct cpumask {
	u64 bits[2];
} __core;
struct bpf_cpumask {
	struct cpumask cpumask;
	u32 usage;
} __core;
extern struct bpf_cpumask *bpf_cpumask_create(void) __ksym;
extern void bpf_cpumask_release(struct bpf_cpumask *mask) __ksym;
extern void bpf_cpumask_copy(struct bpf_cpumask *dst, const struct cpumask *src) __ksym;
extern void bpf_cpumask_set_cpu(u32 cpu, struct bpf_cpumask *mask) __ksym;
extern bool bpf_cpumask_and(struct bpf_cpumask *dst, const struct cpumask *a, const struct cpumask *b) __ksym;
extern u32 bpf_cpumask_first(const struct cpumask *mask) __ksym;
extern struct task_struct *bpf_task_from_pid(s32 pid) __ksym;
extern void bpf_task_release(struct task_struct *p) __ksym;
extern void bpf_cgroup_release(struct cgroup *cgrp) __ksym;
extern void scx_bpf_dsq_insert(struct task_struct *p, u64 dsq, u64 slice, u64 flags) __ksym;
static void *(*bpf_kptr_xchg)(void *slot, void *ptr) = (void *)194;
static u32 (*bpf_get_smp_processor_id)(void) = (void *)8;
static long (*bpf_timer_init)(void *timer, void *map, u64 flags) = (void *)169;
static long (*bpf_timer_start)(void *timer, u64 nsecs, u64 flags) = (void *)171;
static void *(*bpf_cgrp_storage_get)(void *map, struct cgroup *cgrp, void *value, u64 flags) = (void *)210;

#define ARENA_MAP \
	struct { \
		__uint(type, ARENA); \
		__uint(map_flags, 1024); \
		__uint(max_entries, 1000); \
	} arena SEC(".maps")

#define TASK_MAP(name, T) \
	struct { \
		__uint(type, TASK_STORAGE); \
		__uint(map_flags, 1); \
		__type(key, s32); \
		__type(value, T); \
	} name SEC(".maps")

#define SCHED(...) SEC(".struct_ops.link") struct test_ops ops = { __VA_ARGS__ }
