// SPDX-License-Identifier: GPL-2.0
/*
 * tally: a weighted fair scheduler that keeps the books.
 *
 * Every task waits in one shared queue, ordered by virtual time: the time it
 * has run, divided by its weight. A CPU that looks for work takes the task
 * that is furthest behind. A task that wakes while a CPU idles skips the queue.
 * That is the whole policy; see tally_enqueue() and tally_stopping().
 *
 * What it knows it writes down where a snapshot finds it:
 *
 *   scx_per_task   what each CPU runs, and what it ran before
 *   task_ctxs      the books of every task, by pid
 *   task_states    what the scheduler itself needs of a task, in task storage
 *   arena          counters of every task, in memory shared with user space
 *   .bss .data .rodata
 *                  totals, tunables, constants
 */
#include "bpf.h"

char LICENSE[] SEC("license") = "GPL";

#define SHARED_DSQ 0
#define NICE_0_WEIGHT 100 /* of struct sched_ext_entity.weight */
#define MAX_TASKS 4096
#define RUN_BUCKETS 8
#define PAGE_SIZE 4096

/* Scheduling policies of include/uapi/linux/sched.h, as task_struct.policy holds them. */
enum policy {
	POLICY_NORMAL = 0,
	POLICY_FIFO = 1,
	POLICY_RR = 2,
	POLICY_BATCH = 3,
	POLICY_IDLE = 5,
	POLICY_DEADLINE = 6,
	POLICY_EXT = 7,
};

/* How the scheduler sees a task. */
struct ctx {
	u32 weight; /* 1 to 10000; 100 is nice 0 */
	enum policy policy;
};

/* Counters of one task, in the arena. */
struct task_stats {
	s32 pid; /* owner; 0 while the object is free */
	u32 generation; /* owners so far */
	u64 nr_runs;
	u64 runtime_ns;
	u64 run_buckets[RUN_BUCKETS]; /* runs by length: under 2^n times 64 us */
};

/* The books of one task. */
struct task_ctx {
	struct ctx ctx;
	char comm[16];
	u64 vtime; /* virtual ns */
	u64 task; /* (u64) struct task_struct * */
	struct task_stats __arena *stats;
	u32 kthread : 1;
	u32 on_cpu : 1;
	u32 last_cpu : 12;
	s32 nice : 6;
	u32 wakeups; /* that found an idle CPU */
	union { /* by on_cpu */
		struct {
			u64 started_at; /* ns since boot */
		};
		struct {
			u32 last_run_us;
			bool runnable; /* it wanted to run on */
		};
	};
};

/* What a CPU runs. */
struct cpu_run {
	struct ctx ctx;
	s32 tid;
	u32 switches; /* of this CPU, when the run began */
	u64 started_at; /* ns since boot */
	u64 runtime_ns; /* 0 while it runs */
	u64 task; /* (u64) struct task_struct * */
};

/* What the scheduler needs of a task whenever it touches it. */
struct task_state {
	u64 vtime; /* virtual ns */
	u64 started_at; /* ns since boot */
	struct task_stats __arena *stats;
	u32 weight;
};

/* How the scheduler ended. */
struct exit_record {
	s32 kind; /* enum scx_exit_kind */
	s64 code;
	char reason[32];
	char msg[128];
};

/* Slot 0: the task that the CPU runs or ran last. Slot 1: the one before. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, u32);
	__type(value, struct cpu_run);
} scx_per_task SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_TASKS);
	__type(key, s32);
	__type(value, struct task_ctx);
} task_ctxs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, s32);
	__type(value, struct task_state);
} task_states SEC(".maps");

/* The user address at which the arena starts: what pointers into it begin with. */
#define ARENA_START (0x1ULL << 44)

struct {
	__uint(type, BPF_MAP_TYPE_ARENA);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, MAX_TASKS * sizeof(struct task_stats) / PAGE_SIZE);
	__ulong(map_extra, ARENA_START);
} arena SEC(".maps");

/*
 * A program may follow arena pointers if it refers to the arena. One that only
 * finds them in its data says so with this.
 */
static __always_inline void use_arena(void)
{
	asm volatile("" ::"r"(&arena));
}

/* .rodata: a loader may set these before it loads. */
const volatile u64 slice_min_ns = 1000000;
const volatile bool account_kthreads = true;

/* .data: may be changed at any time. */
u64 slice_ns = 20000000;
u32 sleep_credit_pct = 100; /* of a slice: how far a task that slept may be ahead */

/* .bss */
bool books_closed; /* set by who wants to read all maps as one: see keeps_books() */
bool inject_fault; /* set by tests: virtual time follows whoever runs, also back */
u32 nr_cpus_onln;
u32 nr_tasks;
u64 nr_enqueued;
u64 nr_dispatched;
u64 nr_direct; /* tasks that went to an idle CPU without queueing */
u64 vtime_now; /* virtual ns; of the task that started last */
u64 runs_by_policy[POLICY_EXT + 1];
struct task_stats __arena *stats_pool; /* MAX_TASKS of them */
struct exit_record exit_record;
static u32 next_free; /* where the search for free stats begins */

/*
 * While the books are closed tasks are scheduled as ever, by the virtual times
 * that they had, and no map is written.
 */
static bool keeps_books(void)
{
	return !*(volatile bool *)&books_closed;
}

static bool before(u64 a, u64 b)
{
	return (s64)(a - b) < 0;
}

static struct task_state *state_of(struct task_struct *p)
{
	return bpf_task_storage_get(&task_states, p, NULL, 0);
}

static struct task_ctx *ctx_of(struct task_struct *p)
{
	s32 pid = p->pid;

	return bpf_map_lookup_elem(&task_ctxs, &pid);
}

/* Takes stats for @pid; NULL when all of them are taken. */
static struct task_stats __arena *take_stats(s32 pid)
{
	struct task_stats __arena *pool = stats_pool;
	struct bpf_iter_num it;
	u32 first = next_free;
	int *i;

	struct task_stats __arena *taken = NULL;

	use_arena();
	if (!pool)
		return NULL;
	bpf_iter_num_new(&it, 0, MAX_TASKS);
	while ((i = bpf_iter_num_next(&it))) {
		u32 slot = (first + *i) % MAX_TASKS;
		struct task_stats __arena *s = &pool[slot];

		if (__sync_val_compare_and_swap(&s->pid, 0, pid))
			continue;
		s->generation++;
		WRITE_ONCE(s->nr_runs, 0);
		WRITE_ONCE(s->runtime_ns, 0);
		for (int b = 0; b < RUN_BUCKETS; b++)
			WRITE_ONCE(s->run_buckets[b], 0);
		next_free = slot + 1;
		taken = s;
		break;
	}
	bpf_iter_num_destroy(&it);
	return taken;
}

/* The bucket of run_buckets that a run of @ns belongs to. */
static u32 run_bucket(u64 ns)
{
	u64 limit = 64000;
	u32 b;

	for (b = 0; b < RUN_BUCKETS - 1; b++) {
		if (ns < limit)
			return b;
		limit *= 2;
	}
	return b;
}

static void count_run(struct task_stats __arena *stats, u64 ns)
{
	use_arena();
	if (!stats)
		return;
	stats->nr_runs++;
	stats->runtime_ns += ns;
	stats->run_buckets[run_bucket(ns)]++;
}

static enum policy policy_of(struct task_struct *p)
{
	u32 policy = p->policy;

	return policy <= POLICY_EXT ? policy : POLICY_NORMAL;
}

SEC("struct_ops/select_cpu")
s32 tally_select_cpu(u64 *args)
{
	struct task_struct *p = STRUCT_OPS_ARG(args, 0, struct task_struct *);
	struct task_ctx *tctx;
	bool is_idle = false;
	s32 cpu;

	cpu = scx_bpf_select_cpu_dfl(p, args[1], args[2], &is_idle);
	if (!is_idle)
		return cpu;

	scx_bpf_dsq_insert(p, SCX_DSQ_LOCAL, slice_ns, 0);
	if (!keeps_books())
		return cpu;
	__sync_fetch_and_add(&nr_direct, 1);
	tctx = ctx_of(p);
	if (tctx)
		tctx->wakeups++;
	return cpu;
}

SEC("struct_ops/enqueue")
void tally_enqueue(u64 *args)
{
	struct task_struct *p = STRUCT_OPS_ARG(args, 0, struct task_struct *);
	struct task_state *state = state_of(p);
	u64 slice = slice_ns < slice_min_ns ? slice_min_ns : slice_ns;
	u64 vtime = state ? state->vtime : vtime_now;

	if (state && keeps_books()) {
		/* Who slept for a night gets a slice ahead of the others for it, not a night. */
		u64 earliest = vtime_now - slice * sleep_credit_pct / 100;

		if (before(state->vtime, earliest))
			state->vtime = earliest;
		vtime = state->vtime;
	}
	scx_bpf_dsq_insert_vtime(p, SHARED_DSQ, slice, vtime, args[1]);
	if (keeps_books())
		__sync_fetch_and_add(&nr_enqueued, 1);
}

SEC("struct_ops/dispatch")
void tally_dispatch(u64 *args)
{
	if (scx_bpf_dsq_move_to_local(SHARED_DSQ) && keeps_books())
		__sync_fetch_and_add(&nr_dispatched, 1);
}

/* Opens the entry of @p in the books of this CPU. */
static void begin_run(struct task_struct *p, const struct ctx *ctx, u64 now)
{
	u32 slot = 0, previous = 1;
	struct cpu_run *run = bpf_map_lookup_elem(&scx_per_task, &slot);
	struct cpu_run *last = bpf_map_lookup_elem(&scx_per_task, &previous);

	if (!run || !last)
		return;
	*last = *run;
	run->ctx = *ctx;
	run->tid = p->pid;
	run->switches++;
	run->started_at = now;
	run->runtime_ns = 0;
	run->task = (u64)p;
}

SEC("struct_ops/running")
void tally_running(u64 *args)
{
	struct task_struct *p = STRUCT_OPS_ARG(args, 0, struct task_struct *);
	struct task_state *state = state_of(p);
	struct task_ctx *tctx = ctx_of(p);
	struct ctx ctx = { .weight = p->scx.weight, .policy = policy_of(p) };
	u64 now = bpf_ktime_get_ns();

	if (!keeps_books())
		return;
	if (state) {
		state->started_at = now;
		if (before(vtime_now, state->vtime) || *(volatile bool *)&inject_fault)
			vtime_now = state->vtime;
	}
	if (tctx) {
		tctx->ctx = ctx;
		tctx->on_cpu = true;
		tctx->last_cpu = bpf_get_smp_processor_id();
		tctx->started_at = now;
		/* execve(2) and prctl(2) change it. */
		bpf_probe_read_kernel(tctx->comm, sizeof(tctx->comm), p->comm);
	}
	__sync_fetch_and_add(&runs_by_policy[ctx.policy & POLICY_EXT], 1);
	begin_run(p, &ctx, now);
}

SEC("struct_ops/stopping")
void tally_stopping(u64 *args)
{
	struct task_struct *p = STRUCT_OPS_ARG(args, 0, struct task_struct *);
	struct task_state *state = state_of(p);
	struct task_ctx *tctx = ctx_of(p);
	u64 now = bpf_ktime_get_ns();
	struct cpu_run *run;
	u32 slot = 0;
	u64 ran;

	if (!state || !keeps_books())
		return;
	ran = now - state->started_at;
	state->vtime += ran * NICE_0_WEIGHT / (state->weight ?: NICE_0_WEIGHT);
	count_run(state->stats, ran);

	if (tctx) {
		tctx->vtime = state->vtime;
		tctx->on_cpu = false;
		tctx->last_run_us = ran / 1000;
		tctx->runnable = args[1];
	}
	run = bpf_map_lookup_elem(&scx_per_task, &slot);
	if (run)
		run->runtime_ns = ran;
}

SEC("struct_ops/set_weight")
void tally_set_weight(u64 *args)
{
	struct task_struct *p = STRUCT_OPS_ARG(args, 0, struct task_struct *);
	struct task_state *state = state_of(p);

	if (state && keeps_books())
		state->weight = args[1];
}

SEC("struct_ops.s/init_task")
s32 tally_init_task(u64 *args)
{
	struct task_struct *p = STRUCT_OPS_ARG(args, 0, struct task_struct *);
	struct task_ctx tctx = {};
	struct task_state *state;
	s32 pid = p->pid;

	if (!keeps_books())
		return 0; /* it will be scheduled without a state */
	state = bpf_task_storage_get(&task_states, p, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!state)
		return -12; /* ENOMEM */
	state->vtime = vtime_now;
	state->weight = p->scx.weight;
	state->stats = take_stats(pid);
	__sync_fetch_and_add(&nr_tasks, 1);

	tctx.kthread = !!(p->flags & PF_KTHREAD);
	if (tctx.kthread && !account_kthreads)
		return 0;
	tctx.ctx.weight = p->scx.weight;
	tctx.ctx.policy = policy_of(p);
	bpf_probe_read_kernel(tctx.comm, sizeof(tctx.comm), p->comm);
	tctx.vtime = vtime_now;
	tctx.task = (u64)p;
	tctx.stats = state->stats;
	tctx.nice = p->static_prio - 120; /* DEFAULT_PRIO, include/linux/sched/prio.h */
	/* A full table costs the entry, not the task. */
	bpf_map_update_elem(&task_ctxs, &pid, &tctx, BPF_ANY);
	return 0;
}

SEC("struct_ops/exit_task")
void tally_exit_task(u64 *args)
{
	struct task_struct *p = STRUCT_OPS_ARG(args, 0, struct task_struct *);
	struct task_state *state = state_of(p);
	s32 pid = p->pid;

	use_arena();
	if (!keeps_books())
		return; /* its entries stay */
	bpf_map_delete_elem(&task_ctxs, &pid);
	if (!state)
		return;
	if (state->stats)
		state->stats->pid = 0;
	__sync_fetch_and_add(&nr_tasks, -1);
}

SEC("struct_ops.s/init")
s32 tally_init(u64 *args)
{
	const struct cpumask *online = scx_bpf_get_online_cpumask();

	nr_cpus_onln = bpf_cpumask_weight(online);
	scx_bpf_put_cpumask(online);

	stats_pool = bpf_arena_alloc_pages(&arena, NULL,
					   MAX_TASKS * sizeof(struct task_stats) / PAGE_SIZE,
					   NUMA_NO_NODE, 0);
	if (!stats_pool)
		return -12; /* ENOMEM */
	return scx_bpf_create_dsq(SHARED_DSQ, NUMA_NO_NODE);
}

SEC("struct_ops/exit")
void tally_exit(u64 *args)
{
	struct scx_exit_info *info = STRUCT_OPS_ARG(args, 0, struct scx_exit_info *);

	exit_record.kind = info->kind;
	exit_record.code = info->exit_code;
	bpf_probe_read_kernel_str(exit_record.reason, sizeof(exit_record.reason), info->reason);
	bpf_probe_read_kernel_str(exit_record.msg, sizeof(exit_record.msg), info->msg);
}

SEC(".struct_ops.link")
struct sched_ext_ops tally_ops = {
	.select_cpu = (void *)tally_select_cpu,
	.enqueue = (void *)tally_enqueue,
	.dispatch = (void *)tally_dispatch,
	.running = (void *)tally_running,
	.stopping = (void *)tally_stopping,
	.set_weight = (void *)tally_set_weight,
	.init_task = (void *)tally_init_task,
	.exit_task = (void *)tally_exit_task,
	.init = (void *)tally_init,
	.exit = (void *)tally_exit,
	.timeout_ms = 20000, /* a busy host can keep a guest from running for seconds */
	.name = "tally",
};
