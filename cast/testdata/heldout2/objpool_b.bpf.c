// SPDX-License-Identifier: GPL-2.0
#include "objpool.h"

LICENSE();

struct flow {
	u64 peer; /* truth flow.peer -> struct flow (arena) */
	u64 stats; /* truth flow.stats -> struct flow_stats (arena) */
	u64 flow_id; /* none flow.flow_id */
	s32 pid;
};

struct flow_stats {
	u64 nr_wakes;
	u64 nr_sync;
	u64 of; /* truth flow_stats.of -> struct flow (arena) */
};
DESCRIBE(flow);
DESCRIBE(flow_stats);

struct pools {
	u64 flows; /* truth pools.flows -> struct objpool (arena) */
	u64 stats; /* truth pools.stats -> struct objpool (arena) */
};

struct flow_slot {
	u64 flow; /* truth flow_slot.flow -> struct flow (arena) */
};

struct pools pools;
u64 next_flow_id; /* none .bss.next_flow_id */

STORAGE(flow_slots, BPF_MAP_TYPE_TASK_STORAGE, struct flow_slot);

static __always_inline struct flow __arena *flow_of(struct task_struct *p)
{
	struct flow_slot *slot = bpf_task_storage_get(&flow_slots, p, NULL, 0);

	return slot ? (struct flow __arena *)slot->flow : NULL;
}

OP0(s32, init)
{
	pools.flows = pool_create(sizeof(struct flow));
	pools.stats = pool_create(sizeof(struct flow_stats));
	return pools.flows && pools.stats ? 0 : -12;
}

OP2(s32, init_task, struct task_struct *, p, struct scx_init_task_args *, args)
{
	struct flow_slot *slot = bpf_task_storage_get(&flow_slots, p, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	struct flow __arena *f;
	struct flow_stats __arena *st;

	if (!slot)
		return -12;
	f = (struct flow __arena *)pool_get(pools.flows);
	st = (struct flow_stats __arena *)pool_get(pools.stats);
	if (!f || !st)
		return -12;
	f->pid = p->pid;
	f->flow_id = next_flow_id++;
	f->peer = 0;
	f->stats = (u64)st;
	st->nr_wakes = 0;
	st->nr_sync = 0;
	st->of = (u64)f;
	slot->flow = (u64)f;
	return 0;
}

OP2(void, runnable, struct task_struct *, p, u64, flags)
{
	struct flow __arena *f = flow_of(p), *me = flow_of(bpf_get_current_task_btf());
	struct flow_stats __arena *st;

	if (!f || !me)
		return;
	st = (struct flow_stats __arena *)f->stats;
	if (!st || ((struct flow __arena *)st->of)->pid != p->pid)
		return;
	st->nr_wakes++;
	if (f->peer && ((struct flow __arena *)f->peer)->flow_id == me->flow_id)
		st->nr_sync++;
	f->peer = (u64)me;
}

OP2(void, exit_task, struct task_struct *, p, struct scx_exit_task_args *, args)
{
	struct flow __arena *f = flow_of(p);

	if (!f)
		return;
	pool_put(pools.stats, f->stats);
	pool_put(pools.flows, (u64)f);
}

OPS(DO(init), DO(init_task), DO(runnable), DO(exit_task), .name = "objpool");
