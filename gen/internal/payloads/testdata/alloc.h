/* SPDX-License-Identifier: GPL-2.0 */
#include "../../../../example_sched/bpf/bpf.h"

#define __hidden __attribute__((visibility("hidden")))
#define BPF_MAP_TYPE_ARRAY 2
#define PAGE_SIZE 4096
#define MAX_TASKS 1024
#define MAX_CPUS 8

/* What the allocators of alloc.bpf.c hand out: memory without a type. */
__hidden void __arena *task_alloc(struct task_struct *p);
__hidden void __arena *task_data(struct task_struct *p);
__hidden void __arena *cpu_data(u32 cpu);
__hidden int alloc_init(u64 task_size);
