// SPDX-License-Identifier: GPL-2.0
/*
 * Schedulers that do one thing wrong each, for the tests of how that is told.
 * Built once per fault, with -DFAULT=NAME; see build.
 */
#define DOCILE 1 /* nothing is wrong; it follows CPUs that come and go, too */
#define STALL 2 /* user tasks are never dispatched */
#define ERROR 3 /* scx_bpf_error() when a worker is enqueued */
#define QUIT 4 /* scx_bpf_exit() when a worker is enqueued */
#define INIT_ERROR 5 /* scx_bpf_error() in init */
#define REJECT 6 /* a store that the verifier does not allow */

/* To the preprocessor a name that is not defined is 0. */
#if FAULT < DOCILE || FAULT > REJECT
#error "build with -DFAULT=NAME, of one of the faults above"
#endif

#if FAULT == DOCILE
#define sched_ext_ops sched_ext_ops_without_cpus
#endif
#include "../../example_sched/bpf/bpf.h"
#if FAULT == DOCILE
#undef sched_ext_ops
struct sched_ext_ops {
	void (*enqueue)(struct task_struct *p, u64 enq_flags);
	void (*dispatch)(s32 cpu, struct task_struct *prev);
	void (*exit_task)(struct task_struct *p, struct scx_exit_task_args *args);
	void (*cpu_online)(s32 cpu);
	void (*cpu_offline)(s32 cpu);
	s32 (*init)(void);
	u32 timeout_ms;
	char name[128];
};
#endif

char LICENSE[] SEC("license") = "GPL";

#define SHARED_DSQ 0
#define PATIENT_MS 20000 /* a busy host can keep a guest from running for seconds */

/* As the kernel's sched_ext headers have it: the loader sets it. */
const volatile u64 __SCX_SLICE_DFL;

void scx_bpf_error_bstr(char *fmt, unsigned long long *data, u32 data_size) __ksym;
void scx_bpf_exit_bstr(s64 exit_code, char *fmt, unsigned long long *data, u32 data_size) __ksym;

static char fault_message[] = "the fault was asked for";
static unsigned long long no_data[1];

#if FAULT == STALL
u32 nr_stuck; /* tasks that are never dispatched; forgotten when they exit, as a queue would be emptied */
#endif

static __always_inline bool is_worker(const struct task_struct *p)
{
	return p->comm[0] == 's' && p->comm[1] == 'p' && p->comm[2] == 'i' && p->comm[3] == 'n';
}

#if FAULT == DOCILE
/* What the kernel's sched_ext headers ask of a loader, beside the scheduler. */
void scx_bpf_no_such_kfunc(void) __ksym __weak;
void scx_bpf_dsq_insert___v1(struct task_struct *p, u64 dsq_id, u64 slice, u64 enq_flags) __ksym __weak;

u32 nr_probes; /* runs of the tracing program */
u32 nr_absent; /* kfuncs that were found absent, which they are */

SEC("fentry/bpf_scx_reg")
int probe(void *ctx)
{
	__sync_fetch_and_add(&nr_probes, 1);
	return 0;
}

static __always_inline void insert(struct task_struct *p, u64 enq_flags)
{
	if (scx_bpf_no_such_kfunc)
		scx_bpf_no_such_kfunc();
	else
		nr_absent = 1;
	if (scx_bpf_dsq_insert___v1)
		scx_bpf_dsq_insert___v1(p, SHARED_DSQ, __SCX_SLICE_DFL, enq_flags);
}
#else
static __always_inline void insert(struct task_struct *p, u64 enq_flags)
{
	scx_bpf_dsq_insert(p, SHARED_DSQ, __SCX_SLICE_DFL, enq_flags);
}
#endif

SEC("struct_ops/enqueue")
void fault_enqueue(u64 *args)
{
	struct task_struct *p = STRUCT_OPS_ARG(args, 0, struct task_struct *);

#if FAULT == STALL
	if (!(p->flags & PF_KTHREAD)) {
		__sync_fetch_and_add(&nr_stuck, 1);
		return;
	}
#elif FAULT == ERROR
	if (is_worker(p))
		scx_bpf_error_bstr(fault_message, no_data, 0);
#elif FAULT == QUIT
	if (is_worker(p))
		scx_bpf_exit_bstr(7, fault_message, no_data, 0);
#elif FAULT == REJECT
	p->pid = 1;
#endif
	insert(p, STRUCT_OPS_ARG(args, 1, u64));
}

SEC("struct_ops/dispatch")
void fault_dispatch(u64 *args)
{
	scx_bpf_dsq_move_to_local(SHARED_DSQ);
}

#if FAULT == DOCILE
/* The kernel ends a scheduler that does not have these when a CPU comes or goes. */
SEC("struct_ops.s/cpu_online")
void fault_cpu_online(u64 *args)
{
}

SEC("struct_ops.s/cpu_offline")
void fault_cpu_offline(u64 *args)
{
}
#endif

#if FAULT == STALL
#define PF_EXITING 0x4 /* include/linux/sched.h */

/* Tasks that are not exiting themselves leave a scheduler that ends. */
SEC("struct_ops/exit_task")
void fault_exit_task(u64 *args)
{
	struct task_struct *p = STRUCT_OPS_ARG(args, 0, struct task_struct *);

	if (!(p->flags & PF_EXITING))
		nr_stuck = 0;
}
#endif

SEC("struct_ops.s/init")
s32 fault_init(u64 *args)
{
#if FAULT == INIT_ERROR
	scx_bpf_error_bstr(fault_message, no_data, 0);
#endif
	return scx_bpf_create_dsq(SHARED_DSQ, NUMA_NO_NODE);
}

SEC(".struct_ops.link")
struct sched_ext_ops fault_ops = {
	.enqueue = (void *)fault_enqueue,
	.dispatch = (void *)fault_dispatch,
#if FAULT == DOCILE
	.cpu_online = (void *)fault_cpu_online,
	.cpu_offline = (void *)fault_cpu_offline,
#endif
#if FAULT == STALL
	.exit_task = (void *)fault_exit_task,
#endif
	.init = (void *)fault_init,
	.timeout_ms = FAULT == STALL ? 2000 : PATIENT_MS,
	.name = "fault",
};
