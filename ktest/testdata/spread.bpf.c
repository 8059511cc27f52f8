// SPDX-License-Identifier: GPL-2.0
/*
 * spread: a queue for each CPU, ordered by virtual time. A task that wakes takes its last CPU
 * if that idles, else any that idles, else it waits in the queue of its last CPU. A CPU
 * without work takes a task from a queue with two or more.
 *
 * It schedules well. Each bit of @bugs takes out what keeps one piece of its bookkeeping right
 * between CPUs.
 */
#include <scx/common.bpf.h>

char LICENSE[] SEC("license") = "GPL";

#define MAX_CPUS 8
#define NR_HOLDERS 256

enum bug {
	BUG_QUEUED = 1 << 0,	/* counter of a CPU, changed by others, not atomic */
	BUG_CLAIM = 1 << 1,	/* idle mark looked at, then taken */
	BUG_VTIME = 1 << 2,	/* maximum that is stored if it was lower */
	BUG_OFFLINE = 1 << 3,	/* queue of a CPU that is offline is emptied once */
	BUG_LEASE = 1 << 4,	/* two fields written one after the other */
};

const volatile u32 bugs = ~0;
const volatile u32 nr_cpus = 2;
const volatile u64 slice_ns = 1000000;

struct cpu_ctx {
	u64 nr_queued;	/* in the queue */
	u64 nr_put;	/* into it, so far */
	u64 nr_got;	/* out of it, so far */
	u32 idle;
	u32 online;
	u64 idle_period;
	u64 claimed_period;
	u64 seen;	/* vtime_now, when the CPU looked last */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_CPUS);
	__type(key, u32);
	__type(value, struct cpu_ctx);
} cpu_ctxs SEC(".maps");

struct task_ctx {
	u64 started_at;
	s32 queue;	/* that it waits in, or -1 */
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct task_ctx);
} task_ctxs SEC(".maps");

/* Who may steal next. */
struct lease {
	u32 seq;
	s32 holder;
};

struct lease lease;
u32 next_seq;
s32 holders[NR_HOLDERS];	/* of the latest leases, by seq */
u64 nr_torn;

u64 vtime_now;
u64 nr_back;

u64 nr_double_claims;
u32 orphans;		/* mask of offline CPUs whose queues are to be emptied */

static struct cpu_ctx *cpu_of(s32 cpu)
{
	u32 key = cpu;

	return bpf_map_lookup_elem(&cpu_ctxs, &key);
}

static bool claim(struct task_struct *p, s32 cpu)
{
	struct cpu_ctx *cc = cpu_of(cpu);
	u64 period;

	if (!cc || !READ_ONCE(cc->idle))
		return false;
	if (bugs & BUG_CLAIM) {
		if (!READ_ONCE(cc->online) || !bpf_cpumask_test_cpu(cpu, p->cpus_ptr))
			return false;
		WRITE_ONCE(cc->idle, 0);
	} else {
		if (!READ_ONCE(cc->online) || !bpf_cpumask_test_cpu(cpu, p->cpus_ptr))
			return false;
		if (__sync_val_compare_and_swap(&cc->idle, 1, 0) != 1)
			return false;
	}
	period = READ_ONCE(cc->idle_period);
	if (__sync_lock_test_and_set(&cc->claimed_period, period) == period)
		__sync_fetch_and_add(&nr_double_claims, 1);
	return true;
}

s32 BPF_STRUCT_OPS(spread_select_cpu, struct task_struct *p, s32 prev_cpu, u64 wake_flags)
{
	s32 cpu;

	if (claim(p, prev_cpu)) {
		scx_bpf_dsq_insert(p, SCX_DSQ_LOCAL, slice_ns, 0);
		return prev_cpu;
	}
	bpf_for(cpu, 0, nr_cpus) {
		if (cpu == prev_cpu || !claim(p, cpu))
			continue;
		scx_bpf_dsq_insert(p, SCX_DSQ_LOCAL, slice_ns, 0);
		return cpu;
	}
	return prev_cpu;
}

void BPF_STRUCT_OPS(spread_update_idle, s32 cpu, bool idle)
{
	struct cpu_ctx *cc = cpu_of(cpu);

	if (!cc)
		return;
	if (idle)
		__sync_fetch_and_add(&cc->idle_period, 1);
	WRITE_ONCE(cc->idle, idle);
}

void BPF_STRUCT_OPS(spread_enqueue, struct task_struct *p, u64 enq_flags)
{
	struct task_ctx *tctx = bpf_task_storage_get(&task_ctxs, p, 0, 0);
	s32 cpu = scx_bpf_task_cpu(p);
	struct cpu_ctx *cc = cpu_of(cpu);
	u64 vtime, credit;

	if (!tctx || !cc || p->nr_cpus_allowed == 1) {
		scx_bpf_dsq_insert(p, SCX_DSQ_LOCAL, slice_ns, enq_flags);
		return;
	}
	if (!READ_ONCE(cc->online)) {
		cpu = 0;
		cc = cpu_of(0);
		if (!cc)
			return;
	}
	vtime = p->scx.dsq_vtime;
	credit = READ_ONCE(vtime_now) - slice_ns;
	if (time_before(vtime, credit))
		vtime = credit;
	tctx->queue = cpu;

	if (bugs & BUG_QUEUED)
		cc->nr_queued++;
	else
		__sync_fetch_and_add(&cc->nr_queued, 1);
	__sync_fetch_and_add(&cc->nr_put, 1);
	scx_bpf_dsq_insert_vtime(p, cpu, slice_ns, vtime, enq_flags);
	if (scx_bpf_dsq_nr_queued(cpu) > 1) {
		cpu = scx_bpf_pick_idle_cpu(p->cpus_ptr, 0);
		if (cpu >= 0)
			scx_bpf_kick_cpu(cpu, SCX_KICK_IDLE); /* to steal */
	}
}

static void take_lease(s32 cpu)
{
	u32 seq = __sync_fetch_and_add(&next_seq, 1);

	WRITE_ONCE(holders[seq % NR_HOLDERS], cpu);
	if (bugs & BUG_LEASE) {
		WRITE_ONCE(lease.seq, seq);
		WRITE_ONCE(lease.holder, cpu);
	} else {
		*(volatile u64 *)&lease = (u64)cpu << 32 | seq;
	}
}

static bool holds_lease(s32 cpu)
{
	u64 both = *(volatile u64 *)&lease;
	u32 seq = (u32)both;
	s32 holder = both >> 32;

	if (READ_ONCE(holders[seq % NR_HOLDERS]) != holder && READ_ONCE(next_seq) - seq < NR_HOLDERS)
		__sync_fetch_and_add(&nr_torn, 1);
	return holder == cpu;
}

static void steal(s32 cpu)
{
	s32 other;

	if (!holds_lease(cpu))
		take_lease(cpu);
	bpf_for(other, 0, nr_cpus) {
		if (other != cpu && scx_bpf_dsq_nr_queued(other) > 1 && scx_bpf_dsq_move_to_local(other, 0))
			break;
	}
}

static bool adopt(void)
{
	u32 mask = READ_ONCE(orphans);
	s32 cpu;

	if (!mask)
		return false;
	bpf_for(cpu, 0, nr_cpus) {
		if (!(mask & 1 << cpu))
			continue;
		if (scx_bpf_dsq_move_to_local(cpu, 0))
			return true;
		if (bugs & BUG_OFFLINE)
			__sync_fetch_and_and(&orphans, ~(1 << cpu)); /* empty: done */
	}
	return false;
}

void BPF_STRUCT_OPS(spread_dispatch, s32 cpu, struct task_struct *prev)
{
	if (!scx_bpf_dsq_move_to_local(cpu, 0) && !adopt())
		steal(cpu);
}

void BPF_STRUCT_OPS(spread_running, struct task_struct *p)
{
	struct task_ctx *tctx = bpf_task_storage_get(&task_ctxs, p, 0, 0);
	struct cpu_ctx *cc = cpu_of(bpf_get_smp_processor_id());
	u64 now = bpf_ktime_get_ns(), old;

	if (!tctx || !cc)
		return;
	tctx->started_at = now;
	if (tctx->queue >= 0) {
		struct cpu_ctx *from = cpu_of(tctx->queue);

		tctx->queue = -1;
		if (from) {
			if (bugs & BUG_QUEUED)
				from->nr_queued--;
			else
				__sync_fetch_and_add(&from->nr_queued, -1);
			__sync_fetch_and_add(&from->nr_got, 1);
				}
	}

	if (time_before(READ_ONCE(vtime_now), cc->seen))
		__sync_fetch_and_add(&nr_back, 1);
	if (bugs & BUG_VTIME) {
		if (time_before(vtime_now, p->scx.dsq_vtime))
			vtime_now = p->scx.dsq_vtime;
	} else {
		int i;

		bpf_for(i, 0, 100) {
			old = READ_ONCE(vtime_now);
			if (!time_before(old, p->scx.dsq_vtime))
				break;
			if (__sync_val_compare_and_swap(&vtime_now, old, p->scx.dsq_vtime) == old)
				break;
		}
	}
	cc->seen = READ_ONCE(vtime_now);
}

void BPF_STRUCT_OPS(spread_stopping, struct task_struct *p, bool runnable)
{
	struct task_ctx *tctx = bpf_task_storage_get(&task_ctxs, p, 0, 0);

	if (tctx)
		p->scx.dsq_vtime += (bpf_ktime_get_ns() - tctx->started_at) * 100 / p->scx.weight;
}

void BPF_STRUCT_OPS(spread_dequeue, struct task_struct *p, u64 deq_flags)
{
	struct task_ctx *tctx = bpf_task_storage_get(&task_ctxs, p, 0, 0);
	struct cpu_ctx *from;

	if (!tctx || tctx->queue < 0)
		return;
	from = cpu_of(tctx->queue);
	tctx->queue = -1;
	if (!from)
		return;
	if (bugs & BUG_QUEUED)
		from->nr_queued--;
	else
		__sync_fetch_and_add(&from->nr_queued, -1);
	__sync_fetch_and_add(&from->nr_got, 1);
}

void BPF_STRUCT_OPS(spread_cpu_online, s32 cpu)
{
	struct cpu_ctx *cc = cpu_of(cpu);

	__sync_fetch_and_and(&orphans, ~(1 << (cpu & 31)));
	if (cc)
		WRITE_ONCE(cc->online, 1);
}

void BPF_STRUCT_OPS(spread_cpu_offline, s32 cpu)
{
	struct cpu_ctx *cc = cpu_of(cpu);

	if (!cc)
		return;
	WRITE_ONCE(cc->online, 0);
	WRITE_ONCE(cc->idle, 0);
	__sync_fetch_and_or(&orphans, 1 << (cpu & 31));
	scx_bpf_kick_cpu(0, 0);
}

s32 BPF_STRUCT_OPS(spread_init_task, struct task_struct *p, struct scx_init_task_args *args)
{
	struct task_ctx *tctx = bpf_task_storage_get(&task_ctxs, p, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (!tctx)
		return -ENOMEM;
	tctx->queue = -1;
	return 0;
}

void BPF_STRUCT_OPS(spread_enable, struct task_struct *p)
{
	p->scx.dsq_vtime = vtime_now;
}

s32 BPF_STRUCT_OPS_SLEEPABLE(spread_init)
{
	s32 cpu, err;

	bpf_for(cpu, 0, nr_cpus) {
		struct cpu_ctx *cc = cpu_of(cpu);

		if (cc)
			cc->online = 1;
		err = scx_bpf_create_dsq(cpu, -1);
		if (err)
			return err;
	}
	return 0;
}

SCX_OPS_DEFINE(spread_ops,
	       .select_cpu	= (void *)spread_select_cpu,
	       .update_idle	= (void *)spread_update_idle,
	       .enqueue		= (void *)spread_enqueue,
	       .dequeue		= (void *)spread_dequeue,
	       .dispatch	= (void *)spread_dispatch,
	       .running		= (void *)spread_running,
	       .stopping	= (void *)spread_stopping,
	       .cpu_online	= (void *)spread_cpu_online,
	       .cpu_offline	= (void *)spread_cpu_offline,
	       .init_task	= (void *)spread_init_task,
	       .enable		= (void *)spread_enable,
	       .init		= (void *)spread_init,
	       .flags		= SCX_OPS_KEEP_BUILTIN_IDLE,
	       .timeout_ms	= 5000,
	       .name		= "spread");
