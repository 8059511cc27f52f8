// SPDX-License-Identifier: GPL-2.0
/* A scheduler whose contexts another unit allocates. */
#include "alloc.h"

char LICENSE[] SEC("license") = "GPL";

struct task_ctx {
	s32 pid;
	u32 nr_enqueued;
	u64 seed; /* pid * 1000 */
};

struct cpu_ctx {
	u64 nr_running;
	s32 last_pid;
	struct task_ctx __arena *last;
};

u64 seeds; /* of all tasks that were met */

static __noinline void enqueued(struct task_ctx __arena *taskc, struct task_struct *p)
{
	taskc->pid = p->pid;
	taskc->nr_enqueued++;
	taskc->seed = (u64)p->pid * 1000;
	__sync_fetch_and_add(&seeds, taskc->seed);
}

static __noinline void runs(struct cpu_ctx __arena *cpuc, struct task_ctx __arena *taskc)
{
	cpuc->nr_running++;
	cpuc->last_pid = taskc->pid;
	cpuc->last = taskc;
}

SEC("struct_ops/enqueue")
void payloads_enqueue(u64 *ctx)
{
	struct task_struct *p = (struct task_struct *)ctx[0];
	struct task_ctx __arena *taskc = task_data(p);

	if (taskc)
		enqueued(taskc, p);
	scx_bpf_dsq_insert(p, (1ULL << 63) | 1, 20000000, ctx[1]);
}

SEC("struct_ops/running")
void payloads_running(u64 *ctx)
{
	struct task_ctx __arena *taskc = task_data((struct task_struct *)ctx[0]);
	struct cpu_ctx __arena *cpuc = cpu_data(bpf_get_smp_processor_id());

	if (taskc && cpuc)
		runs(cpuc, taskc);
}

SEC("struct_ops.s/init_task")
s32 payloads_init_task(u64 *ctx)
{
	return task_alloc((struct task_struct *)ctx[0]) ? 0 : -12;
}

SEC("struct_ops.s/init")
s32 payloads_init(u64 *ctx)
{
	return alloc_init(sizeof(struct task_ctx));
}

SEC(".struct_ops.link")
struct sched_ext_ops payloads_ops = {
	.enqueue = (void *)payloads_enqueue,
	.running = (void *)payloads_running,
	.init_task = (void *)payloads_init_task,
	.init = (void *)payloads_init,
	.name = "payloads",
};
