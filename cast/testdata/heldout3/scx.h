/* SPDX-License-Identifier: GPL-2.0 */
/* What the programs of this folder need beyond cast.h. */
#pragma once

#include "../cast.h"

#define __arena __attribute__((address_space(1)))
#define __arg_arena __attribute__((btf_decl_tag("arg:arena")))
#define __kptr __attribute__((btf_type_tag("kptr")))
#define core_cast(addr, T) ((T *)bpf_rdonly_cast((void *)(addr), __builtin_btf_type_id(*(T *)0, 1)))
#define PAGE 4096
#define ENOMEM 12
#define EINVAL 22
#define ENOENT 2
#define EBUSY 16

#define ARENA_MAP(name) \
	struct { \
		__uint(type, ARENA); \
		__uint(map_flags, 1 << 10); \
		__uint(max_entries, 1 << 16); \
	} name SEC(".maps")

struct cpumask {
	u64 bits[4];
} __core;

struct bpf_cpumask {
	struct cpumask cpumask;
} __core;

struct rq {
	u32 nr_running;
	u64 clock;
	s32 cpu;
} __core;

static long (*bpf_map_delete_elem)(void *map, const void *key) = (void *)3;
static u32 (*bpf_get_smp_processor_id)(void) = (void *)8;
static void *(*bpf_kptr_xchg)(void *dst, void *ptr) = (void *)194;
static void *(*bpf_map_lookup_percpu_elem)(void *map, const void *key, u32 cpu) = (void *)195;
static void *(*bpf_cgrp_storage_get)(void *map, struct cgroup *cgrp, void *value, u64 flags) = (void *)210;

extern void __arena *bpf_arena_alloc_pages(void *map, void __arena *addr, u32 pages, int node, u64 flags) __ksym;
extern void bpf_arena_free_pages(void *map, void __arena *addr, u32 pages) __ksym;
extern struct bpf_cpumask *bpf_cpumask_create(void) __ksym;
extern void bpf_cpumask_release(struct bpf_cpumask *mask) __ksym;
extern void bpf_cpumask_set_cpu(u32 cpu, struct bpf_cpumask *mask) __ksym;
extern u32 bpf_cpumask_first(const struct cpumask *mask) __ksym;
extern _Bool bpf_cpumask_test_cpu(u32 cpu, const struct cpumask *mask) __ksym;
extern struct rq *scx_bpf_cpu_rq(s32 cpu) __ksym;
extern struct task_struct *bpf_task_from_pid(s32 pid) __ksym;
extern void bpf_task_release(struct task_struct *p) __ksym;
extern void bpf_cgroup_release(struct cgroup *cgrp) __ksym;
extern void scx_bpf_kick_cpu(s32 cpu, u64 flags) __ksym;

static char _license[] SEC("license") = "GPL";
