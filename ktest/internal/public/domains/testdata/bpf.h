/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the units need of BPF and of the kernel, so that clang alone compiles them.
 * Kernel structs have the members that are used; their places are those of the
 * kernel that is met (CO-RE).
 */
#pragma once

typedef signed int s32;
typedef unsigned int u32;
typedef signed long long s64;
typedef unsigned long long u64;
typedef unsigned char u8;

#define bool _Bool
#define true 1
#define false 0
#define NULL ((void *)0)

#define SEC(name) __attribute__((section(name), used))
#define __always_inline inline __attribute__((always_inline))
#define __weak __attribute__((weak))
#define __hidden __attribute__((visibility("hidden")))
#define __core __attribute__((preserve_access_index))
#define __ksym __attribute__((section(".ksyms")))
#define __kconfig __attribute__((section(".kconfig")))
#define __uint(name, val) int(*name)[val]
#define __type(name, val) typeof(val) *name
#define BPF_STRUCT_OPS(name) SEC("struct_ops/" #name)
#define BPF_STRUCT_OPS_SLEEPABLE(name) SEC("struct_ops.s/" #name)

/* An array with one element, which who loads the object makes longer. */
#define RESIZABLE_ARRAY(section, name) name[1] SEC("." #section "." #name)

#include "domains.h"

struct bpf_spin_lock {
	u32 val;
};

struct sched_ext_entity {
	u32 weight;
	u64 slice;
} __core;

struct task_struct {
	s32 pid;
	struct sched_ext_entity scx;
} __core;

struct rq {
	s32 cpu;
} __core;

struct scx_init_task_args;
struct scx_exit_task_args;
struct scx_exit_info {
	s64 exit_code;
	s32 kind;
} __core;

struct sched_ext_ops {
	s32 (*select_cpu)(struct task_struct *p, s32 prev_cpu, u64 wake_flags);
	void (*enqueue)(struct task_struct *p, u64 enq_flags);
	void (*running)(struct task_struct *p);
	s32 (*init_task)(struct task_struct *p, struct scx_init_task_args *args);
	void (*exit_task)(struct task_struct *p, struct scx_exit_task_args *args);
	s32 (*init)(void);
	void (*exit)(struct scx_exit_info *info);
	u64 flags;
	u32 timeout_ms;
	char name[128];
};

#define SCX_DSQ_LOCAL ((1ULL << 63) | 2)
#define SCX_DSQ_LOCAL_ON (3ULL << 62)

static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static u32 (*const bpf_get_smp_processor_id)(void) = (void *)8;
static long (*const bpf_spin_lock)(struct bpf_spin_lock *lock) = (void *)93;
static long (*const bpf_spin_unlock)(struct bpf_spin_lock *lock) = (void *)94;
static void *(*const bpf_per_cpu_ptr)(const void *percpu, u32 cpu) = (void *)153;
static void *(*const bpf_task_storage_get)(void *map, struct task_struct *task, void *value,
					   u64 flags) = (void *)156;

s32 scx_bpf_select_cpu_dfl(struct task_struct *p, s32 prev_cpu, u64 wake_flags, bool *is_idle) __ksym;
s32 scx_bpf_task_cpu(const struct task_struct *p) __ksym;
void scx_bpf_dsq_insert(struct task_struct *p, u64 dsq_id, u64 slice, u64 enq_flags) __ksym;
void __arena *bpf_arena_alloc_pages(void *map, void __arena *addr, u32 page_cnt, int node_id,
				    u64 flags) __ksym;

struct bpf_iter_num {
	u64 opaque[1];
} __attribute__((aligned(8)));

int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end) __ksym;
int *bpf_iter_num_next(struct bpf_iter_num *it) __ksym;
void bpf_iter_num_destroy(struct bpf_iter_num *it) __ksym;

/* Both units have the arena; who links them makes one of the two. */
struct {
	__uint(type, 33); /* BPF_MAP_TYPE_ARENA */
	__uint(map_flags, 1 << 10); /* BPF_F_MMAPABLE */
	__uint(max_entries, 256);
} arena __weak SEC(".maps");

static __always_inline void use_arena(void)
{
	asm volatile("" ::"r"(&arena));
}

/* Element i of n, of an array that is longer than the compiler knows. */
static __always_inline void *element(const volatile void *base, u32 size, u32 i, u32 n)
{
	u64 at = (u64)base, offset;

	asm volatile("" : "+r"(i));
	if (i >= n)
		return NULL;
	offset = (u64)i * size;
	asm volatile("%0 += %1" : "+r"(at) : "r"(offset));
	return (void *)at;
}

/* The library: blocks of one size in the arena. Addresses are numbers, which the
 * verifier lets global functions have. */
#define BLOCK 64
int pool_init(u32 blocks);
u64 pool_alloc(u32 size);
int pool_free(u64 block);
u64 pool_begin(void);
