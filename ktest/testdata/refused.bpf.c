// SPDX-License-Identifier: GPL-2.0
/*
 * Schedulers that the kernel refuses, or whose cgroups it does; see build.
 */
#define PATIENT 1 /* a timeout beyond the kernel's limit */
#define NAMELESS 2 /* a name that is none */
#define FLAGGED 3 /* a flag that no kernel knows, beside one that all know */
#define CGROUP_ERROR 4 /* scx_bpf_error() for cgroups that are made once it runs */
#define TASK_ERROR 5 /* init_task fails for programs that are started once it runs */
#define ENDLESS 6 /* enqueue is longer than the verifier looks at, and it looks for long */

#define sched_ext_ops sched_ext_ops_without_cgroups
#include "../../example_sched/bpf/bpf.h"
#undef sched_ext_ops

struct scx_cgroup_init_args;
struct sched_ext_ops {
	void (*enqueue)(struct task_struct *p, u64 enq_flags);
	s32 (*cgroup_init)(struct cgroup *cgrp, struct scx_cgroup_init_args *args);
	s32 (*init_task)(struct task_struct *p, struct scx_init_task_args *args);
	u64 flags;
	u32 timeout_ms;
	char name[128];
};

char LICENSE[] SEC("license") = "GPL";

void scx_bpf_error_bstr(char *fmt, unsigned long long *data, u32 data_size) __ksym;

#define SCX_DSQ_GLOBAL (1ULL << 63 | 1)

static char stash_message[] = "unexpected stash";
static unsigned long long no_data[1];
static u32 runs;

SEC("struct_ops/enqueue")
void refused_enqueue(u64 *args)
{
	runs = 1;
#if FAULT == ENDLESS
	for (u32 i = 0; i < 1000000; i++)
		asm volatile("" : "+r"(i)); /* no turn is like another */
#endif
	scx_bpf_dsq_insert(STRUCT_OPS_ARG(args, 0, struct task_struct *), SCX_DSQ_GLOBAL, 20000000,
			   STRUCT_OPS_ARG(args, 1, u64));
}

SEC("struct_ops.s/cgroup_init")
s32 refused_cgroup_init(u64 *args)
{
	if (!runs || FAULT == TASK_ERROR)
		return 0;
	scx_bpf_error_bstr(stash_message, no_data, 0);
	return -16; /* EBUSY */
}

#if FAULT == TASK_ERROR
SEC("struct_ops.s/init_task")
s32 refused_init_task(u64 *args)
{
	struct task_struct *p = STRUCT_OPS_ARG(args, 0, struct task_struct *);
	struct scx_init_task_args *a = STRUCT_OPS_ARG(args, 1, struct scx_init_task_args *);

	/* Threads of the agent are of other policies. */
	return a->fork && runs && !p->policy && !(p->flags & PF_KTHREAD) ? -28 /* ENOSPC */ : 0;
}
#endif

SEC(".struct_ops.link")
struct sched_ext_ops refused_ops = {
	.enqueue = (void *)refused_enqueue,
	.cgroup_init = (void *)refused_cgroup_init,
#if FAULT == TASK_ERROR
	.init_task = (void *)refused_init_task,
#endif
	.timeout_ms = FAULT == PATIENT ? 60000 : 20000,
#if FAULT == FLAGGED
	.flags = 1ULL << 40 | 1ULL << 1,
#endif
#if FAULT == NAMELESS
	.name = "a b",
#else
	.name = "refused",
#endif
};
