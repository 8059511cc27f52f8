// SPDX-License-Identifier: GPL-2.0
/*
 * Schedulers that use what no kernel has, one thing each, and one that asks first;
 * see build.
 */
#define NO_KFUNC 1
#define NO_MEMBER 2
#define NO_ENUMERATOR 3
#define NO_OPERATION 4
#define ASKS 5

#define sched_ext_ops sched_ext_ops_of_kernel
#include "../../example_sched/bpf/bpf.h"
#undef sched_ext_ops

struct sched_ext_ops {
	void (*enqueue)(struct task_struct *p, u64 enq_flags);
	void (*of_next_year)(struct task_struct *p);
	char name[128];
};

char LICENSE[] SEC("license") = "GPL";

void scx_bpf_of_next_year(struct task_struct *p) __ksym __attribute__((weak));

struct scx_of_next_year {
	int deadline;
} __attribute__((preserve_access_index));

struct task_struct___next {
	struct {
		struct scx_of_next_year next_year;
	} scx;
} __attribute__((preserve_access_index));

enum scx_enq_flags___next { SCX_ENQ_OF_NEXT_YEAR___next = 1 };

#define SCX_DSQ_GLOBAL (1ULL << 63 | 1)

SEC("struct_ops/enqueue")
void absent_enqueue(u64 *args)
{
	struct task_struct *p = STRUCT_OPS_ARG(args, 0, struct task_struct *);
	u64 flags = STRUCT_OPS_ARG(args, 1, u64);

#if FAULT == NO_KFUNC
	scx_bpf_of_next_year(p);
#elif FAULT == ASKS
	if (scx_bpf_of_next_year)
		scx_bpf_of_next_year(p);
#elif FAULT == NO_MEMBER
	flags += ((struct task_struct___next *)p)->scx.next_year.deadline;
#elif FAULT == NO_ENUMERATOR
	flags |= __builtin_preserve_enum_value(
		*(typeof(enum scx_enq_flags___next) *)SCX_ENQ_OF_NEXT_YEAR___next, 1);
#endif
	scx_bpf_dsq_insert(p, SCX_DSQ_GLOBAL, 20000000, flags);
}

#if FAULT == NO_OPERATION
SEC("struct_ops/of_next_year")
void absent_of_next_year(u64 *args)
{
}
#endif

SEC(".struct_ops.link")
struct sched_ext_ops absent_ops = {
	.enqueue = (void *)absent_enqueue,
#if FAULT == NO_OPERATION
	.of_next_year = (void *)absent_of_next_year,
#endif
	.name = "absent",
};
