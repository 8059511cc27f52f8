// SPDX-License-Identifier: GPL-2.0
/*
 * A scheduler that keeps tasks by their number in queues of its own, as one in user space does, for the
 * tests of what is said of tasks that starve. A cgroup has an account, which a timer fills. Tasks of an
 * overdrawn one are parked until then.
 *
 * It schedules well, unless @ill says otherwise.
 */
#ifndef FAULT
#error "build with -DFAULT=LEDGER"
#endif
#include "../../example_sched/bpf/bpf.h"

char LICENSE[] SEC("license") = "GPL";

#define NR_CPUS 4
#define NR_ACCOUNTS 8
#define PERIOD 20000000 /* ns */
#define BATCH 4
#define MAX_TAKEN 16
#define MAX_PARKED 64
#define SHARED_DSQ 0

enum ill {
	WELL,
	DROPS_FOREIGN,	/* a task that may not run on the CPU that took it is forgotten */
	DROPS_FULL,	/* a task for which there is no room is forgotten */
	LATE_LAST,	/* tasks above nice 0 are looked at if there are no others */
	ONE_UNFILLED,	/* the last account is not filled */
	ROOT_PAYS,	/* the root's account pays for all cgroups, too */
	BY_PROCESS,	/* threads are kept by the number of their process */
	FULL_BATCHES,	/* nobody is taken until four wait */
	TIMER_ENDS,	/* the timer is not started again once nobody is parked */
};

u32 ill;

const volatile s64 cap = 40000000; /* ns, of an account */

struct account {
	u64 cgroup;
	s64 left;
	s64 paid;
};

struct account accounts[NR_ACCOUNTS];	/* the root's first */
u32 nr_accounts;
u64 turns[NR_CPUS];
s64 nr_ready;
u64 nr_parked;	/* that the timer has left so */

#define BPF_MAP_TYPE_ARRAY 2
#define BPF_MAP_TYPE_QUEUE 22
#define CLOCK_MONOTONIC 1
#define PF_EXITING 0x4
#define SCX_DSQ_GLOBAL (SCX_DSQ_FLAG_BUILTIN | 1)
#define SCX_DSQ_LOCAL_ON (SCX_DSQ_FLAG_BUILTIN | 1ULL << 62)
#define SCX_KICK_IDLE 1
#define SLICE 10000000

#define __queue(room)                                    \
	{                                                \
		__uint(type, BPF_MAP_TYPE_QUEUE);        \
		__uint(max_entries, room);               \
		__type(value, u32);                      \
	}

struct __queue(512) ready SEC(".maps");
struct __queue(512) late SEC(".maps");	/* of tasks above nice 0 */
struct __queue(512) parked SEC(".maps");

struct started {
	u64 at;
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct started);
} started SEC(".maps");

struct bpf_timer {
	u64 __opaque[2];
} __attribute__((aligned(8)));

struct filler {
	struct bpf_timer timer;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct filler);
} fillers SEC(".maps");

static u64 (*const bpf_get_current_pid_tgid)(void) = (void *)14;
static long (*const bpf_map_push_elem)(void *map, const void *value, u64 flags) = (void *)87;
static long (*const bpf_map_pop_elem)(void *map, void *value) = (void *)88;
static long (*const bpf_timer_init)(void *timer, void *map, u64 flags) = (void *)169;
static long (*const bpf_timer_set_callback)(void *timer, void *callback) = (void *)170;
static long (*const bpf_timer_start)(void *timer, u64 nsecs, u64 flags) = (void *)171;

struct kernfs_node {
	u64 id;
} __core;

struct cgroup___ledger {
	struct kernfs_node *kn;
} __core;

struct css_set {
	struct cgroup___ledger *dfl_cgrp;
} __core;

struct task_struct___ledger {
	u16 migration_disabled;
	const struct cpumask *cpus_ptr;
	struct css_set *cgroups;
} __core;

#define LEDGER(p) ((struct task_struct___ledger *)(p))

s32 scx_bpf_task_cpu(const struct task_struct *p) __ksym;
s32 scx_bpf_pick_idle_cpu(const struct cpumask *allowed, u64 flags) __ksym;
s32 scx_bpf_pick_any_cpu(const struct cpumask *allowed, u64 flags) __ksym;
void scx_bpf_kick_cpu(s32 cpu, u64 flags) __ksym;
bool bpf_cpumask_test_cpu(u32 cpu, const struct cpumask *cpumask) __ksym;
struct task_struct *bpf_task_from_pid(s32 pid) __ksym;
void bpf_task_release(struct task_struct *p) __ksym;

static __always_inline bool has(u32 an_ill) { return *(volatile u32 *)&ill == an_ill; }

/* The number of a cgroup's account. Cgroups of which there are too many use the last one. */
__noinline u32 find_account(u64 cgroup)
{
	u32 i;

	for (i = 0; i < NR_ACCOUNTS - 1; i++) {
		struct account *a = &accounts[i];

		if (!a->cgroup && __sync_val_compare_and_swap(&a->cgroup, 0, cgroup) == 0) {
			a->left = cap;
			__sync_fetch_and_add(&nr_accounts, 1);
		}
		if (a->cgroup == cgroup)
			break;
	}
	return i;
}

static __always_inline struct account *account_of(struct task_struct *p)
{
	return &accounts[find_account(LEDGER(p)->cgroups->dfl_cgrp->kn->id) & (NR_ACCOUNTS - 1)];
}

SEC("struct_ops/select_cpu")
s32 ledger_select_cpu(u64 *args)
{
	return STRUCT_OPS_ARG(args, 1, s32);
}

static __always_inline void kick_idle(struct task_struct *p)
{
	s32 cpu = scx_bpf_pick_idle_cpu(LEDGER(p)->cpus_ptr, 0);

	if (cpu >= 0)
		scx_bpf_kick_cpu(cpu, SCX_KICK_IDLE);
}

SEC("struct_ops/enqueue")
void ledger_enqueue(u64 *args)
{
	struct task_struct *p = STRUCT_OPS_ARG(args, 0, struct task_struct *);
	u32 pid = has(BY_PROCESS) ? p->tgid : p->pid;
	long err;

	if (p->flags & (PF_KTHREAD | PF_EXITING)) {
		scx_bpf_dsq_insert(p, SCX_DSQ_GLOBAL, SLICE, args[1]);
		kick_idle(p);
		return;
	}
	if (account_of(p)->left <= 0) {
		err = bpf_map_push_elem(&parked, &pid, 0);
	} else if (p->static_prio > 120) {
		err = bpf_map_push_elem(&late, &pid, 0);
	} else {
		err = bpf_map_push_elem(&ready, &pid, 0);
		if (!err)
			__sync_fetch_and_add(&nr_ready, 1);
	}
	if (err && !has(DROPS_FULL))
		scx_bpf_dsq_insert(p, SHARED_DSQ, SLICE, args[1]);
	kick_idle(p);
}

/* Dispatches a task to the CPU, or, where it may not run there, to the shared queue. */
static __always_inline bool dispatch_pid(u32 pid, u32 cpu)
{
	struct task_struct *p = bpf_task_from_pid(pid);
	bool here = false;
	u32 own;

	if (!p)
		return false;
	/* A BPF program cannot be migrated, and so cannot be the task that it runs in. */
	own = (u32)bpf_get_current_pid_tgid() == pid;
	here = bpf_cpumask_test_cpu(cpu, LEDGER(p)->cpus_ptr) &&
	       (LEDGER(p)->migration_disabled <= own || scx_bpf_task_cpu(p) == (s32)cpu);
	if (here) {
		scx_bpf_dsq_insert(p, SCX_DSQ_LOCAL_ON | cpu, SLICE, 0);
	} else if (!has(DROPS_FOREIGN)) {
		s32 other = scx_bpf_pick_any_cpu(LEDGER(p)->cpus_ptr, 0);

		scx_bpf_dsq_insert(p, SHARED_DSQ, SLICE, 0);
		if (other >= 0)
			scx_bpf_kick_cpu(other, SCX_KICK_IDLE);
	}
	bpf_task_release(p);
	return here;
}

static __always_inline bool take_ready(u32 *pid)
{
	if (has(FULL_BATCHES) && nr_ready < BATCH)
		return false;
	if (bpf_map_pop_elem(&ready, pid))
		return false;
	__sync_fetch_and_add(&nr_ready, -1);
	return true;
}

SEC("struct_ops/dispatch")
void ledger_dispatch(u64 *args)
{
	u32 cpu = STRUCT_OPS_ARG(args, 0, s32) & (NR_CPUS - 1), pid;
	bool late_first = !has(LATE_LAST) && !(turns[cpu] & 3), taken = false;
	struct bpf_iter_num it;

	if (turns[cpu]++ & 1 && scx_bpf_dsq_move_to_local(SHARED_DSQ))
		return;
	bpf_iter_num_new(&it, 0, MAX_TAKEN);
	while (bpf_iter_num_next(&it)) {
		if (late_first ? bpf_map_pop_elem(&late, &pid) && !take_ready(&pid) :
				 !take_ready(&pid) && bpf_map_pop_elem(&late, &pid))
			break;
		if (dispatch_pid(pid, cpu)) {
			taken = true;
			break;
		}
	}
	bpf_iter_num_destroy(&it);
	if (!taken)
		scx_bpf_dsq_move_to_local(SHARED_DSQ);
}

SEC("struct_ops/running")
void ledger_running(u64 *args)
{
	struct task_struct *p = STRUCT_OPS_ARG(args, 0, struct task_struct *);
	struct started *s = bpf_task_storage_get(&started, p, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (s)
		s->at = bpf_ktime_get_ns();
}

SEC("struct_ops/stopping")
void ledger_stopping(u64 *args)
{
	struct task_struct *p = STRUCT_OPS_ARG(args, 0, struct task_struct *);
	struct started *s = bpf_task_storage_get(&started, p, NULL, 0);
	struct account *a;
	s64 ran;

	if (!s || !s->at || p->flags & PF_KTHREAD)
		return;
	ran = bpf_ktime_get_ns() - s->at;
	a = account_of(p);
	__sync_fetch_and_add(&a->left, -ran);
	__sync_fetch_and_add(&a->paid, ran);
	if (has(ROOT_PAYS) && a != &accounts[0])
		__sync_fetch_and_add(&accounts[0].left, -ran);
}

/* Gives a parked task another place in a queue, as its account now says. */
static __always_inline void sort_parked(u32 pid)
{
	struct task_struct *p = bpf_task_from_pid(pid);

	if (!p)
		return;
	if (account_of(p)->left <= 0) {
		bpf_map_push_elem(&parked, &pid, 0);
		nr_parked++;
	} else if (p->static_prio > 120) {
		bpf_map_push_elem(&late, &pid, 0);
	} else if (!bpf_map_push_elem(&ready, &pid, 0)) {
		__sync_fetch_and_add(&nr_ready, 1);
	} else {
		bpf_map_push_elem(&parked, &pid, 0);
		nr_parked++;
	}
	bpf_task_release(p);
}

static int fill(void *map, u32 *key, struct filler *f)
{
	u32 n = has(ONE_UNFILLED) ? nr_accounts - 1 : nr_accounts, pid;
	struct bpf_iter_num it;

	for (u32 i = 0; i < NR_ACCOUNTS; i++)
		if (i < n) {
			s64 left = accounts[i].left + cap;

			accounts[i].left = left > cap ? cap : left;
		}
	nr_parked = 0;
	bpf_iter_num_new(&it, 0, MAX_PARKED);
	while (bpf_iter_num_next(&it) && !bpf_map_pop_elem(&parked, &pid))
		sort_parked(pid);
	bpf_iter_num_destroy(&it);
	for (u32 i = 0; i < NR_CPUS; i++)
		scx_bpf_kick_cpu(i, SCX_KICK_IDLE);
	if (!has(TIMER_ENDS) || nr_parked)
		bpf_timer_start(&f->timer, PERIOD, 0);
	return 0;
}

SEC("struct_ops.s/init")
s32 ledger_init(u64 *args)
{
	u32 zero = 0;
	struct filler *f = bpf_map_lookup_elem(&fillers, &zero);

	if (!f)
		return -1;
	accounts[0].cgroup = 1;
	accounts[0].left = cap;
	nr_accounts = 1;
	bpf_timer_init(&f->timer, &fillers, CLOCK_MONOTONIC);
	bpf_timer_set_callback(&f->timer, fill);
	bpf_timer_start(&f->timer, PERIOD, 0);
	return scx_bpf_create_dsq(SHARED_DSQ, NUMA_NO_NODE);
}

/* What is used of struct sched_ext_ops. */
struct sched_ext_ops___ledger {
	s32 (*select_cpu)(struct task_struct *p, s32 prev_cpu, u64 wake_flags);
	void (*enqueue)(struct task_struct *p, u64 enq_flags);
	void (*dispatch)(s32 cpu, struct task_struct *prev);
	void (*running)(struct task_struct *p);
	void (*stopping)(struct task_struct *p, bool runnable);
	s32 (*init)(void);
	u32 timeout_ms;
	char name[128];
};

SEC(".struct_ops.link")
struct sched_ext_ops___ledger ledger_ops = {
	.select_cpu = (void *)ledger_select_cpu,
	.enqueue = (void *)ledger_enqueue,
	.dispatch = (void *)ledger_dispatch,
	.running = (void *)ledger_running,
	.stopping = (void *)ledger_stopping,
	.init = (void *)ledger_init,
	.timeout_ms = 2000,
	.name = "ledger",
};
