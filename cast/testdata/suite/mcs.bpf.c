// SPDX-License-Identifier: GPL-2.0
/* A queue lock: each CPU waits on a node of its own, the tail is a number, and the
 * nodes are linked through atomics. The lock lies behind an offset that is
 * computed. */
#include "suite.h"

ARENA_MAP;

struct mcs_node {
	struct mcs_node __arena *next;
	u32 locked;
	u32 count;
};

struct qlock {
	struct mcs_node __arena *tail;
	u64 holders;
};

struct cpu_nodes {
	struct mcs_node nodes[4];
};

struct shard {
	u64 hits;
	struct qlock lock;
	u64 value;
};

struct cpu_nodes __arena cpu_nodes[64];
struct shard __arena *shards;

static __noinline int lock(struct qlock __arena *l, u32 depth)
{
	u32 cpu = bpf_get_smp_processor_id() & 63;
	struct mcs_node __arena *node = &cpu_nodes[cpu].nodes[depth & 3], *prev;

	node->next = NULL;
	node->locked = 0;
	node->count++;
	prev = __sync_lock_test_and_set(&l->tail, node);
	if (prev) {
		WRITE_ONCE(prev->next, node);
		for_times(i, 1000)
			if (READ_ONCE(node->locked))
				return 0;
		return -1;
	}
	l->holders++;
	return 0;
}

static __noinline void unlock(struct qlock __arena *l, u32 depth)
{
	u32 cpu = bpf_get_smp_processor_id() & 63;
	struct mcs_node __arena *node = &cpu_nodes[cpu].nodes[depth & 3], *next;

	next = READ_ONCE(node->next);
	if (!next) {
		if (__sync_val_compare_and_swap(&l->tail, node, NULL) == node)
			return;
		for_times(i, 1000) {
			next = READ_ONCE(node->next);
			if (next)
				break;
		}
		if (!next)
			return;
	}
	WRITE_ONCE(next->locked, 1);
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct shard __arena *s;

	if (!shards)
		shards = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!shards)
		return;
	s = &shards[p->pid & 15];
	if (lock(&s->lock, 0))
		return;
	s->value += p->pid;
	s->hits++;
	unlock(&s->lock, 0);
}

SCHED(.enqueue = (void *)enqueue);
