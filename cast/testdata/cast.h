/* SPDX-License-Identifier: GPL-2.0 */
/* What the programs of this folder need of the kernel and of libbpf. */
#pragma once

#define SEC(name) __attribute__((section(name), used))
#define __uint(name, val) int(*name)[val]
#define __type(name, val) typeof(val) *name
#define __noinline __attribute__((noinline))
#define __always_inline inline __attribute__((always_inline))
#define __weak __attribute__((weak))
#define __ksym __attribute__((section(".ksyms")))
#define __core __attribute__((preserve_access_index))
#define NULL ((void *)0)

typedef unsigned char u8;
typedef unsigned int u32;
typedef int s32;
typedef unsigned long long u64;
typedef long long s64;

enum {
	ARRAY = 2,
	PERCPU_ARRAY = 6,
	HASH = 1,
	TASK_STORAGE = 29,
	CGRP_STORAGE = 32,
	ARENA = 33,
};

struct cgroup {
	s32 level;
} __core;

struct task_struct {
	s32 pid;
	u64 start_time;
	struct cgroup *cgrp;
} __core;

static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*bpf_map_update_elem)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static u64 (*bpf_ktime_get_ns)(void) = (void *)5;
static u32 (*bpf_get_prandom_u32)(void) = (void *)7;
static void *(*bpf_task_storage_get)(void *map, struct task_struct *task, void *value, u64 flags) = (void *)156;
static struct task_struct *(*bpf_get_current_task_btf)(void) = (void *)158;
static long (*bpf_for_each_map_elem)(void *map, void *callback, void *ctx, u64 flags) = (void *)164;
static long (*bpf_timer_set_callback)(void *timer, void *callback) = (void *)170;
static long (*bpf_loop)(u32 nr, void *callback, void *ctx, u64 flags) = (void *)181;

extern struct cgroup *bpf_cgroup_from_id(u64 id) __ksym;
extern struct cgroup *bpf_cgroup_acquire(struct cgroup *cgrp) __ksym;
extern struct task_struct *bpf_task_acquire(struct task_struct *p) __ksym;
extern void *bpf_rdonly_cast(const void *obj, u32 id) __ksym;

/* The operations that the programs here implement. */
struct test_ops {
	void (*enqueue)(struct task_struct *p, u64 flags);
	void (*dispatch)(s32 cpu, struct task_struct *prev);
	s32 (*init_task)(struct task_struct *p, struct cgroup *cgrp);
};

#define ARG(ctx, i) ((ctx)[i])
#define SINGLE(name, T) \
	struct { \
		__uint(type, ARRAY); \
		__uint(max_entries, 1); \
		__type(key, u32); \
		__type(value, T); \
	} name SEC(".maps")
#define LOOKUP(map) ({ u32 zero_ = 0; bpf_map_lookup_elem(&(map), &zero_); })

#define OPS(op, fn) SEC(".struct_ops.link") struct test_ops ops = { .op = (void *)fn }
