// SPDX-License-Identifier: GPL-2.0
/*
 * A scheduler for two last-level caches of two CPUs each, for the tests of what is said of tasks that
 * starve. A cache has a queue by virtual time. A CPU has three queues: of tasks that may run there only, of
 * urgent ones (nice -10 and below), and of batch ones (nice 1 and above), whose slice ended there. A CPU
 * looks at its own queues and that of its cache, at another one first each time, and then at those of others.
 *
 * It schedules well, unless @ill says otherwise.
 */
#ifndef FAULT
#error "build with -DFAULT=ILLS"
#endif
#include "../../example_sched/bpf/bpf.h"

char LICENSE[] SEC("license") = "GPL";

#define NR_CPUS 4
#define NR_LLCS 2
#define MAX_QUEUED 64

enum queue {
	LLC0_DSQ = 0x100, LLC1_DSQ,			/* by virtual time */
	PINNED0_DSQ = 0x200, PINNED1_DSQ, PINNED2_DSQ, PINNED3_DSQ,
	URGENT0_DSQ = 0x300, URGENT1_DSQ, URGENT2_DSQ, URGENT3_DSQ,
	BATCH0_DSQ = 0x400, BATCH1_DSQ, BATCH2_DSQ, BATCH3_DSQ,
};

enum ill {
	WELL,
	ENDLESS,	/* urgent tasks have an infinite slice */
	STEALS_FIRST,	/* CPUs look at the other cache's queue before their own's */
	SKIPS_OWN,	/* CPUs look at the other cache's queue only */
	OTHER_CLOCK,	/* tasks below nice 0 are queued by the time of day */
	HEAD_FLOOD,	/* urgent tasks go to the head of the local queue, and preempt */
	PINNED_LAST,	/* pinned tasks are looked at if there are no others */
	ONE_WEIGHT,	/* only tasks of weight 100 are taken from a cache's queue */
	GONE_CPU,	/* batch tasks have a CPU of their own, and nobody takes from one that is offline */
	SLEEPERS_FREE,	/* tasks that sleep before their slice ends are not charged */
	PILE_UP,	/* all tasks that may run anywhere are sent to CPU 0 */
	LAST_FIRST,	/* batch tasks are put before those that wait longer */
};

u32 ill;

const volatile u64 slice_ns = 20000000;

u64 vtime_now;
u64 turns[NR_CPUS];	/* of dispatch, by CPU */

#define SCX_DSQ_LOCAL_ON (SCX_DSQ_FLAG_BUILTIN | 1ULL << 62)
#define SCX_ENQ_PREEMPT (1ULL << 32)
#define SCX_KICK_IDLE 1
#define SCX_SLICE_INF (~0ULL)

/* As the kernel's sched_ext headers have it: the loader sets it. */
const volatile u64 __SCX_ENQ_HEAD;

struct sched_ext_entity___ills {
	u32 weight;
	u64 slice;
	u64 dsq_vtime;
} __core;

struct task_struct___ills {
	int nr_cpus_allowed;
	u16 migration_disabled;
	const struct cpumask *cpus_ptr;
	struct sched_ext_entity___ills scx;
} __core;

#define ILLS(p) ((struct task_struct___ills *)(p))

struct bpf_iter_scx_dsq {
	u64 __opaque[6];
} __attribute__((aligned(8)));

int bpf_iter_scx_dsq_new(struct bpf_iter_scx_dsq *it, u64 dsq_id, u64 flags) __ksym;
struct task_struct *bpf_iter_scx_dsq_next(struct bpf_iter_scx_dsq *it) __ksym;
void bpf_iter_scx_dsq_destroy(struct bpf_iter_scx_dsq *it) __ksym;
bool scx_bpf_dsq_move(struct bpf_iter_scx_dsq *it, struct task_struct *p, u64 dsq_id, u64 enq_flags) __ksym;
s32 scx_bpf_task_cpu(const struct task_struct *p) __ksym;
s32 scx_bpf_pick_idle_cpu(const struct cpumask *allowed, u64 flags) __ksym;
void scx_bpf_kick_cpu(s32 cpu, u64 flags) __ksym;
bool bpf_cpumask_test_cpu(u32 cpu, const struct cpumask *cpumask) __ksym;

static __always_inline bool has(u32 an_ill) { return *(volatile u32 *)&ill == an_ill; }

static __always_inline s32 nice(const struct task_struct *p) { return p->static_prio - 120; }
static __always_inline bool urgent(const struct task_struct *p) { return nice(p) <= -10; }
static __always_inline bool batch(const struct task_struct *p) { return nice(p) > 0; }

static u64 (*const bpf_get_current_pid_tgid)(void) = (void *)14;

/* A BPF program cannot be migrated, and so cannot be the task that it runs in. */
static __always_inline bool pinned(struct task_struct *p)
{
	u32 own = (u32)bpf_get_current_pid_tgid() == (u32)p->pid;

	return ILLS(p)->nr_cpus_allowed == 1 || ILLS(p)->migration_disabled > own;
}

SEC("struct_ops/select_cpu")
s32 ills_select_cpu(u64 *args)
{
	struct task_struct *p = STRUCT_OPS_ARG(args, 0, struct task_struct *);
	bool idle = false;
	s32 cpu;

	if (has(PILE_UP) && ILLS(p)->nr_cpus_allowed == NR_CPUS)
		return 0;
	cpu = scx_bpf_select_cpu_dfl(p, STRUCT_OPS_ARG(args, 1, s32), args[2], &idle);
	if (idle)
		scx_bpf_dsq_insert(p, SCX_DSQ_LOCAL, slice_ns, 0);
	return cpu;
}

static __always_inline void kick_idle(struct task_struct *p)
{
	s32 cpu = scx_bpf_pick_idle_cpu(ILLS(p)->cpus_ptr, 0);

	if (cpu >= 0)
		scx_bpf_kick_cpu(cpu, SCX_KICK_IDLE);
}

SEC("struct_ops/enqueue")
void ills_enqueue(u64 *args)
{
	struct task_struct *p = STRUCT_OPS_ARG(args, 0, struct task_struct *);
	u64 flags = args[1], slice = slice_ns, vtime = ILLS(p)->scx.dsq_vtime;
	u32 cpu = scx_bpf_task_cpu(p) & (NR_CPUS - 1);

	if (urgent(p)) {
		if (has(ENDLESS))
			slice = SCX_SLICE_INF;
		if (has(HEAD_FLOOD))
			scx_bpf_dsq_insert(p, SCX_DSQ_LOCAL, slice, flags | __SCX_ENQ_HEAD | SCX_ENQ_PREEMPT);
		else
			scx_bpf_dsq_insert(p, URGENT0_DSQ + cpu, slice, flags);
		kick_idle(p);
		return;
	}
	if (pinned(p)) {
		scx_bpf_dsq_insert(p, PINNED0_DSQ + cpu, slice, flags);
		scx_bpf_kick_cpu(cpu, SCX_KICK_IDLE);
		return;
	}
	if (has(PILE_UP) && ILLS(p)->nr_cpus_allowed == NR_CPUS) {
		scx_bpf_dsq_insert(p, SCX_DSQ_LOCAL_ON, slice, flags);
		return;
	}
	if (batch(p)) {
		if (has(GONE_CPU))
			cpu = p->pid & (NR_CPUS - 1);
		scx_bpf_dsq_insert(p, BATCH0_DSQ + cpu, slice, has(LAST_FIRST) ? flags | __SCX_ENQ_HEAD : flags);
		kick_idle(p);
		return;
	}
	if ((s64)(vtime - (vtime_now - slice_ns)) < 0)
		vtime = vtime_now - slice_ns;
	if (has(OTHER_CLOCK) && nice(p) < 0)
		vtime = bpf_ktime_get_ns() + (1ULL << 40);
	scx_bpf_dsq_insert_vtime(p, LLC0_DSQ + cpu / (NR_CPUS / NR_LLCS), slice, vtime, flags);
	kick_idle(p);
}

/* Takes the first task that may run on the CPU. */
static __noinline bool take(enum queue queue, u32 cpu)
{
	struct bpf_iter_scx_dsq it;
	struct task_struct *p;
	bool taken = false;
	int n = 0;

	if (!has(ONE_WEIGHT) || queue > LLC1_DSQ)
		return scx_bpf_dsq_move_to_local(queue);
	bpf_iter_scx_dsq_new(&it, queue, 0);
	while ((p = bpf_iter_scx_dsq_next(&it)) && n++ < MAX_QUEUED) {
		if (ILLS(p)->scx.weight != 100 || !bpf_cpumask_test_cpu(cpu, ILLS(p)->cpus_ptr))
			continue;
		if (scx_bpf_dsq_move(&it, p, SCX_DSQ_LOCAL_ON | cpu, 0)) {
			taken = true;
			break;
		}
	}
	bpf_iter_scx_dsq_destroy(&it);
	return taken;
}

static bool take_of_llcs(u32 cpu)
{
	u32 llc = cpu / (NR_CPUS / NR_LLCS);

	if (has(STEALS_FIRST) && take(LLC0_DSQ + (llc ^ 1), cpu))
		return true;
	if (!has(SKIPS_OWN) && take(LLC0_DSQ + llc, cpu))
		return true;
	return has(SKIPS_OWN) && take(LLC0_DSQ + (llc ^ 1), cpu);
}

u32 offline[NR_CPUS];

SEC("struct_ops/dispatch")
void ills_dispatch(u64 *args)
{
	u32 cpu = STRUCT_OPS_ARG(args, 0, s32) & (NR_CPUS - 1);
	u64 first = turns[cpu]++;

	for (u32 i = 0; i < 4; i++) {
		u32 which = (first + i) & 3;

		if (which == 0 && !has(PINNED_LAST) && take(PINNED0_DSQ + cpu, cpu))
			return;
		if (which == 1 && take(URGENT0_DSQ + cpu, cpu))
			return;
		if (which == 2 && take(BATCH0_DSQ + cpu, cpu))
			return;
		if (which == 3 && take_of_llcs(cpu))
			return;
	}
	if (take(LLC0_DSQ + ((cpu / (NR_CPUS / NR_LLCS)) ^ 1), cpu))
		return;
	for (u32 i = 1; i < NR_CPUS; i++) {
		u32 other = (cpu + i) & (NR_CPUS - 1);

		if (take(URGENT0_DSQ + other, cpu))
			return;
		if (has(GONE_CPU) && offline[other])
			continue;
		if (take(BATCH0_DSQ + other, cpu))
			return;
	}
	if (has(PINNED_LAST))
		take(PINNED0_DSQ + cpu, cpu);
}

SEC("struct_ops/running")
void ills_running(u64 *args)
{
	struct task_struct *p = STRUCT_OPS_ARG(args, 0, struct task_struct *);
	u64 vtime = ILLS(p)->scx.dsq_vtime;

	if (has(OTHER_CLOCK) && nice(p) < 0)
		return;
	if ((s64)(vtime - vtime_now) > 0)
		vtime_now = vtime;
}

SEC("struct_ops/stopping")
void ills_stopping(u64 *args)
{
	struct task_struct *p = STRUCT_OPS_ARG(args, 0, struct task_struct *);
	u64 left = ILLS(p)->scx.slice;

	if (left > slice_ns || (has(SLEEPERS_FREE) && left))
		return;
	ILLS(p)->scx.dsq_vtime += (slice_ns - left) * 100 / p->scx.weight;
}

SEC("struct_ops/enable")
void ills_enable(u64 *args)
{
	struct task_struct *p = STRUCT_OPS_ARG(args, 0, struct task_struct *);

	ILLS(p)->scx.dsq_vtime = vtime_now;
}

SEC("struct_ops/cpu_online")
void ills_cpu_online(u64 *args)
{
	offline[STRUCT_OPS_ARG(args, 0, s32) & (NR_CPUS - 1)] = 0;
}

SEC("struct_ops/cpu_offline")
void ills_cpu_offline(u64 *args)
{
	offline[STRUCT_OPS_ARG(args, 0, s32) & (NR_CPUS - 1)] = 1;
}

SEC("struct_ops.s/init")
s32 ills_init(u64 *args)
{
	s32 err = 0;

	for (u32 i = 0; !err && i < NR_LLCS; i++)
		err = scx_bpf_create_dsq(LLC0_DSQ + i, NUMA_NO_NODE);
	for (u32 i = 0; !err && i < NR_CPUS; i++)
		err = scx_bpf_create_dsq(PINNED0_DSQ + i, NUMA_NO_NODE);
	for (u32 i = 0; !err && i < NR_CPUS; i++)
		err = scx_bpf_create_dsq(URGENT0_DSQ + i, NUMA_NO_NODE);
	for (u32 i = 0; !err && i < NR_CPUS; i++)
		err = scx_bpf_create_dsq(BATCH0_DSQ + i, NUMA_NO_NODE);
	return err;
}

/* What is used of struct sched_ext_ops. */
struct sched_ext_ops___ills {
	s32 (*select_cpu)(struct task_struct *p, s32 prev_cpu, u64 wake_flags);
	void (*enqueue)(struct task_struct *p, u64 enq_flags);
	void (*dispatch)(s32 cpu, struct task_struct *prev);
	void (*running)(struct task_struct *p);
	void (*stopping)(struct task_struct *p, bool runnable);
	void (*enable)(struct task_struct *p);
	void (*cpu_online)(s32 cpu);
	void (*cpu_offline)(s32 cpu);
	s32 (*init)(void);
	u32 timeout_ms;
	char name[128];
};

SEC(".struct_ops.link")
struct sched_ext_ops___ills ills_ops = {
	.select_cpu = (void *)ills_select_cpu,
	.enqueue = (void *)ills_enqueue,
	.dispatch = (void *)ills_dispatch,
	.running = (void *)ills_running,
	.stopping = (void *)ills_stopping,
	.enable = (void *)ills_enable,
	.cpu_online = (void *)ills_cpu_online,
	.cpu_offline = (void *)ills_cpu_offline,
	.init = (void *)ills_init,
	.timeout_ms = 2000,
	.name = "ills",
};
