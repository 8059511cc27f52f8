/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What both halves of the scheduler know, and its user space. The types are those
 * of the maps and of the arena.
 */
#pragma once

#ifdef __bpf__
#define __arena __attribute__((address_space(1)))
#else
#define __arena
typedef unsigned int u32;
typedef long long s64;
typedef unsigned long long u64;
#endif

/* What a last-level cache has to do. */
struct llc_ctx {
	u64 nr_enqueued;
	u32 node;
	u32 nr_cpus;
};

/* A NUMA node, in the arena. */
struct node_ctx {
	struct node_ctx __arena *next;
	u32 id;
	u32 nr_llcs;
	u64 nr_running; /* how often a task began to run there */
};

/* A task, in the arena. */
struct task_ctx {
	struct node_ctx __arena *node; /* where it ran last */
	u32 pid;
	u32 llc;
	u64 runs;
};

/* Blocks of the arena, of which those that are free are in a list. */
struct block {
	struct block __arena *next;
};

struct pool {
	u64 begin, next, end;
	u64 nr_used;
	struct block __arena *free;
};

/* What setup is called with, and fills in. */
struct setup_args {
	u32 nr_tasks;
	u32 nr_nodes_made;
	u64 pool;
	u64 pool_size;
};
