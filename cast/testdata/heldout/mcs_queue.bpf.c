// SPDX-License-Identifier: GPL-2.0
/* Queue locks in the arena, one node for each CPU and level of nesting; what
 * they guard is a list of each LLC. */
#include "scx.h"

#define MAX_CPUS 64
#define NESTING 4

LICENSE();
ARENA(512);

struct mcs_node {
	u64 next; /* truth mcs_node.next -> struct mcs_node (arena) */
	u32 locked;
	u32 count;
};

struct mcs_lock {
	u64 tail; /* truth mcs_lock.tail -> struct mcs_node (arena) */
	u64 contended; /* none mcs_lock.contended */
};

struct entry {
	u64 next; /* truth entry.next -> struct entry (arena) */
	u64 vtime;
	s32 pid;
};
DESCRIBE(entry);

struct llc {
	struct mcs_lock lock;
	u64 head; /* truth llc.head -> struct entry (arena) */
	u64 nr_queued;
	u64 owner; /* pid << 32 | cpu of who has the lock */ /* none llc.owner */
};
DESCRIBE(llc);

struct mcs_node __arena_global nodes[MAX_CPUS][NESTING];
u32 depth[MAX_CPUS];
u64 llcs[8]; /* truth .bss.llcs[] -> struct llc (arena) */
u64 spare; /* truth .bss.spare -> struct entry (arena) */

static __noinline int mcs_acquire(struct mcs_lock __arena *lock, struct mcs_node __arena *node)
{
	struct mcs_node __arena *prev;

	node->next = 0;
	node->locked = 0;
	prev = (struct mcs_node __arena *)xchg(&lock->tail, (u64)node);
	if (!prev)
		return 0;
	lock->contended++;
	WRITE_ONCE(prev->next, (u64)node);
	while (!READ_ONCE(node->locked))
		if (!can_loop())
			return -110;
	return 0;
}

static __noinline void mcs_release(struct mcs_lock __arena *lock, struct mcs_node __arena *node)
{
	struct mcs_node __arena *next = (struct mcs_node __arena *)READ_ONCE(node->next);

	if (!next) {
		if (cmpxchg(&lock->tail, (u64)node, 0) == (u64)node)
			return;
		do {
			next = (struct mcs_node __arena *)READ_ONCE(node->next);
		} while (!next && can_loop());
		if (!next)
			return;
	}
	WRITE_ONCE(next->locked, 1);
}

static struct mcs_node __arena *node_of(u32 cpu)
{
	return &nodes[cpu & (MAX_CPUS - 1)][depth[cpu & (MAX_CPUS - 1)]++ & (NESTING - 1)];
}

OP0(s32, init)
{
	struct llc __arena *llc;
	int i;

	for (i = 0; i < 8; i++) {
		llc = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!llc)
			return -12;
		llcs[i] = (u64)llc;
	}
	return 0;
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	u32 cpu = bpf_get_smp_processor_id();
	struct llc __arena *llc = (struct llc __arena *)llcs[(cpu >> 3) & 7];
	struct mcs_node __arena *node = node_of(cpu);
	struct entry __arena *e = (struct entry __arena *)spare;

	if (!llc)
		return;
	if (e)
		spare = e->next;
	else
		e = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!e)
		return;
	e->pid = p->pid;
	e->vtime = p->scx.dsq_vtime;
	if (!mcs_acquire(&llc->lock, node)) {
		llc->owner = (u64)p->pid << 32 | cpu;
		e->next = llc->head;
		llc->head = (u64)e;
		llc->nr_queued++;
		llc->owner = 0;
		mcs_release(&llc->lock, node);
	}
	depth[cpu & (MAX_CPUS - 1)]--;
}

OP2(void, dispatch, s32, cpu, struct task_struct *, prev)
{
	struct llc __arena *llc = (struct llc __arena *)llcs[(cpu >> 3) & 7];
	struct mcs_node __arena *node = node_of(cpu);
	struct entry __arena *e = NULL;

	if (!llc)
		return;
	if (!mcs_acquire(&llc->lock, node)) {
		e = (struct entry __arena *)llc->head;
		if (e) {
			llc->head = e->next;
			llc->nr_queued--;
		}
		mcs_release(&llc->lock, node);
	}
	depth[cpu & (MAX_CPUS - 1)]--;
	if (e) {
		e->next = spare;
		spare = (u64)e;
	}
}

OPS(DO(init), DO(enqueue), DO(dispatch), .name = "mcs_queue");
