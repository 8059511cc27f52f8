// SPDX-License-Identifier: GPL-2.0
/*
 * A scheduler that starves workers (tasks called spin*) in the way that "fault" says,
 * for the tests of what an autopsy says of it.
 */
#include "../../example_sched/bpf/bpf.h"

char LICENSE[] SEC("license") = "GPL";

struct sched_ext_entity___slice {
	u64 slice;
} __core;

struct task_struct___scx {
	struct sched_ext_entity___slice scx;
} __core;

struct task_struct___mutex {
	void *blocked_on;
} __core;

enum queue {
	SHARED_DSQ = 0,
	FORGOTTEN_DSQ = 1, /* nobody takes from it */
	FIRST_CPU_DSQ = 2, /* CPU 0 takes from it only */
	VTIME_DSQ = 3,
	SECOND_CPU_DSQ = 4, /* CPU 1 takes from it only */
	LOW_DSQ = 5, /* taken from while the shared one is empty */
};

enum fault {
	NONE = 0,
	FORGOTTEN = 1,	/* a queue that nobody drains */
	DROPPED = 2,	/* taken in ops.enqueue, and never dispatched */
	FIRST_CPU = 3,	/* a queue that one CPU drains only */
	ENDLESS = 4,	/* the first to run keeps its CPU */
	OVERFLOW = 5,	/* one worker's vtime wraps around, the others' are small */
	LOCAL = 6,	/* all go to the local queue of CPU 1 */
	SECOND_CPU = 7,	/* workers wait for CPU 1, whether it is online or not */
	LOW = 8,	/* those called spinlow* run when no other wants to */
	HOLDER = 9,	/* the first that is preempted while another waits for a mutex does not run again */
	ZERO = 10,	/* all but the victim have a slice of zero, and their vtime stays as it is */
	KEEP = 11,	/* who runs is given another slice */
	HEAD = 12,	/* who comes last is first */
	CLOSED = 13,	/* nothing is dispatched any more */
	WEIGHT = 14,	/* the victim's vtime grows 2^20 times as fast as the others' */
};

#define TIMEOUT_MS 30000
#define SLICE_NS 5000000ULL
#define SLICE_INF (~0ULL)
#define SCX_DSQ_LOCAL_ON 0xc000000000000000ULL
#define SCX_ENQ_WAKEUP 1ULL
#define SCX_ENQ_HEAD (1ULL << 16)

volatile enum fault fault;
volatile u32 victim; /* pid of the worker that starves, where it is one */
enum queue last;

u32 preempted; /* pid */
u32 kept; /* pid */
u32 blocked; /* pid of a worker that sleeps until it gets a mutex */
u64 vtime, victims_vtime;

bool scx_bpf_task_set_slice(struct task_struct *p, u64 slice) __ksym __weak;
void scx_bpf_dsq_insert_vtime(struct task_struct *p, u64 dsq_id, u64 slice, u64 vtime, u64 enq_flags) __ksym __weak;

static __always_inline bool is_worker(const struct task_struct *p)
{
	return p->comm[0] == 's' && p->comm[1] == 'p' && p->comm[2] == 'i' && p->comm[3] == 'n';
}

SEC("struct_ops/enqueue")
void faults_enqueue(u64 *args)
{
	struct task_struct *p = STRUCT_OPS_ARG(args, 0, struct task_struct *);
	u64 flags = STRUCT_OPS_ARG(args, 1, u64);
	enum fault f = fault;

	if (!is_worker(p))
		f = NONE;
	switch (f) {
	case FORGOTTEN:
		last = FORGOTTEN_DSQ;
		scx_bpf_dsq_insert(p, FORGOTTEN_DSQ, SLICE_NS, flags);
		return;
	case DROPPED:
		return;
	case FIRST_CPU:
		last = FIRST_CPU_DSQ;
		scx_bpf_dsq_insert(p, FIRST_CPU_DSQ, SLICE_NS, flags);
		return;
	case ENDLESS:
		scx_bpf_dsq_insert(p, SHARED_DSQ, SLICE_INF, flags);
		return;
	case OVERFLOW:
		last = VTIME_DSQ;
		scx_bpf_dsq_insert_vtime(p, VTIME_DSQ, SLICE_NS, (u32)p->pid == victim ? 1ULL << 62 : 7, flags);
		return;
	case SECOND_CPU:
		last = SECOND_CPU_DSQ;
		scx_bpf_dsq_insert(p, SECOND_CPU_DSQ, SLICE_NS, flags);
		return;
	case LOW:
		last = p->comm[4] == 'l' ? LOW_DSQ : SHARED_DSQ;
		scx_bpf_dsq_insert(p, last, SLICE_NS, flags);
		return;
	case HOLDER:
		if (flags & SCX_ENQ_WAKEUP && blocked == (u32)p->pid)
			blocked = 0;
		if (!preempted && blocked && !(flags & SCX_ENQ_WAKEUP))
			preempted = p->pid;
		scx_bpf_dsq_insert(p, preempted == (u32)p->pid ? FORGOTTEN_DSQ : SHARED_DSQ, SLICE_NS, flags);
		return;
	case ZERO:
		scx_bpf_dsq_insert_vtime(p, VTIME_DSQ, (u32)p->pid == victim ? SLICE_NS : 0, (u32)p->pid == victim ? 1000 : 7, flags);
		return;
	case KEEP:
		/* Who was interrupted by another class goes on. */
		scx_bpf_dsq_insert(p, SHARED_DSQ, SLICE_NS, flags | (p->pid == (s32)kept ? SCX_ENQ_HEAD : 0));
		return;
	case HEAD:
		scx_bpf_dsq_insert(p, SHARED_DSQ, SLICE_NS, flags | SCX_ENQ_HEAD);
		return;
	case WEIGHT:
		vtime += SLICE_NS;
		if ((u32)p->pid == victim)
			victims_vtime += SLICE_NS << 20;
		scx_bpf_dsq_insert_vtime(p, VTIME_DSQ, SLICE_NS, (u32)p->pid == victim ? victims_vtime : vtime, flags);
		return;
	case LOCAL:
		scx_bpf_dsq_insert(p, SCX_DSQ_LOCAL_ON | 1, SLICE_INF, flags);
		return;
	default:
		break;
	}
	last = SHARED_DSQ;
	scx_bpf_dsq_insert(p, SHARED_DSQ, SLICE_NS, flags);
}

SEC("struct_ops/dispatch")
void faults_dispatch(u64 *args)
{
	s32 cpu = STRUCT_OPS_ARG(args, 0, s32);
	struct task_struct *prev = STRUCT_OPS_ARG(args, 1, struct task_struct *);

	if (fault == CLOSED)
		return;
	if (fault == KEEP && prev && is_worker(prev)) {
		if (&scx_bpf_task_set_slice)
			scx_bpf_task_set_slice(prev, SLICE_NS);
		else /* before Linux 6.19 */
			((struct task_struct___scx *)prev)->scx.slice = SLICE_NS;
		kept = prev->pid;
		return;
	}
	if (scx_bpf_dsq_move_to_local(SHARED_DSQ))
		return;
	if (!cpu && scx_bpf_dsq_move_to_local(FIRST_CPU_DSQ))
		return;
	if (cpu == 1 && scx_bpf_dsq_move_to_local(SECOND_CPU_DSQ))
		return;
	if (scx_bpf_dsq_move_to_local(VTIME_DSQ))
		return;
	scx_bpf_dsq_move_to_local(LOW_DSQ);
}

SEC("struct_ops/stopping")
void faults_stopping(u64 *args)
{
	struct task_struct *p = STRUCT_OPS_ARG(args, 0, struct task_struct *);

	if (is_worker(p) && !STRUCT_OPS_ARG(args, 1, bool) && ((struct task_struct___mutex *)p)->blocked_on)
		blocked = p->pid;
}

SEC("struct_ops/running")
void faults_running(u64 *args)
{
	struct task_struct *p = STRUCT_OPS_ARG(args, 0, struct task_struct *);

	if (blocked == (u32)p->pid)
		blocked = 0;
}

SEC("struct_ops.s/init")
s32 faults_init(u64 *args)
{
	s32 err = scx_bpf_create_dsq(SHARED_DSQ, NUMA_NO_NODE);

	if (!err)
		err = scx_bpf_create_dsq(FORGOTTEN_DSQ, NUMA_NO_NODE);
	if (!err)
		err = scx_bpf_create_dsq(FIRST_CPU_DSQ, NUMA_NO_NODE);
	if (!err)
		err = scx_bpf_create_dsq(VTIME_DSQ, NUMA_NO_NODE);
	if (!err)
		err = scx_bpf_create_dsq(SECOND_CPU_DSQ, NUMA_NO_NODE);
	if (!err)
		err = scx_bpf_create_dsq(LOW_DSQ, NUMA_NO_NODE);
	return err;
}

SEC(".struct_ops.link")
struct sched_ext_ops faults_ops = {
	.enqueue = (void *)faults_enqueue,
	.dispatch = (void *)faults_dispatch,
	.running = (void *)faults_running,
	.stopping = (void *)faults_stopping,
	.init = (void *)faults_init,
	.timeout_ms = TIMEOUT_MS,
	.name = "faults",
};
