// SPDX-License-Identifier: GPL-2.0
/* No arena: contexts are values of maps and variables, whose addresses are
 * kept in integers of other values, to be compared and shown, not followed. */
#include "scx.h"

LICENSE();

struct llc_ctx {
	u64 vtime;
	u32 id;
	u32 nr_queued;
	u64 last_task; /* truth llc_ctx.last_task -> struct task_struct (kernel) */
	u64 leader; /* truth llc_ctx.leader -> struct cpu_ctx (map value) */
	u64 policy; /* truth llc_ctx.policy -> struct policy (global) */
};

struct cpu_ctx {
	u64 llc; /* truth cpu_ctx.llc -> struct llc_ctx (map value) */
	u64 taskc; /* truth cpu_ctx.taskc -> struct task_ctx (map value) */
	u64 mask; /* truth cpu_ctx.mask -> struct cpumask (kernel) */
	u64 clock; /* none cpu_ctx.clock */
	u64 llc_id; /* none cpu_ctx.llc_id */
};

struct task_ctx {
	u64 llc; /* truth task_ctx.llc -> struct llc_ctx (map value) */
	u64 deadline; /* none task_ctx.deadline */
	u64 waker; /* truth task_ctx.waker -> struct task_struct (kernel) */
	u64 waker_tgid; /* none task_ctx.waker_tgid */
};

struct policy {
	u64 slice;
	u64 boost;
	char name[16];
};

MAP(llcs, BPF_MAP_TYPE_ARRAY, 16, u32, struct llc_ctx);
MAP(cpus, BPF_MAP_TYPE_PERCPU_ARRAY, 1, u32, struct cpu_ctx);
STORAGE(tasks, BPF_MAP_TYPE_TASK_STORAGE, struct task_ctx);
MAP(owner_of_pid, BPF_MAP_TYPE_LRU_HASH, 4096, s32, u64); /* truth owner_of_pid -> struct llc_ctx (map value) */
MAP(stamps, BPF_MAP_TYPE_LRU_HASH, 4096, s32, u64); /* none stamps */

struct policy batch = { .slice = 40000000, .boost = 0, .name = "batch" };
struct policy interactive = { .slice = 5000000, .boost = 3, .name = "interactive" };
u64 hottest; /* truth .bss.hottest -> struct llc_ctx (map value) */
u64 hottest_load; /* none .bss.hottest_load */

static struct cpu_ctx *this_cpu(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&cpus, &zero);
}

static __noinline struct llc_ctx *llc_of(u32 cpu)
{
	u32 id = cpu >> 3 & 15;

	return bpf_map_lookup_elem(&llcs, &id);
}

OP2(void, runnable, struct task_struct *, p, u64, flags)
{
	struct task_ctx *c = bpf_task_storage_get(&tasks, p, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	struct task_struct *waker = bpf_get_current_task_btf();

	if (!c)
		return;
	c->waker = (u64)waker;
	c->waker_tgid = waker->tgid;
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	struct task_ctx *c = bpf_task_storage_get(&tasks, p, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	u32 cpu = scx_bpf_task_cpu(p);
	struct llc_ctx *l = llc_of(cpu);
	s32 pid = p->pid;
	u64 v;

	if (!c || !l)
		return;
	c->llc = (u64)l;
	c->deadline = l->vtime + SCX_SLICE_DFL;
	l->last_task = (u64)p;
	l->nr_queued++;
	l->policy = (u64)(p->scx.weight > 100 ? &interactive : &batch);
	if (l->nr_queued > hottest_load) {
		hottest_load = l->nr_queued;
		hottest = (u64)l;
	}
	v = (u64)l;
	bpf_map_update_elem(&owner_of_pid, &pid, &v, 0);
	v = bpf_ktime_get_ns();
	bpf_map_update_elem(&stamps, &pid, &v, 0);
	scx_bpf_dsq_insert_vtime(p, l->id, SCX_SLICE_DFL, c->deadline, flags);
}

OP1(void, running, struct task_struct *, p)
{
	struct task_ctx *c = bpf_task_storage_get(&tasks, p, NULL, 0);
	struct cpu_ctx *cc = this_cpu();
	struct llc_ctx *l = llc_of(bpf_get_smp_processor_id());

	if (!c || !cc || !l)
		return;
	cc->taskc = (u64)c;
	cc->llc = (u64)l;
	cc->llc_id = l->id;
	cc->mask = (u64)p->cpus_ptr;
	cc->clock = bpf_ktime_get_ns();
	if (!l->leader)
		l->leader = (u64)cc;
	if (c->llc != (u64)l)
		l->vtime += 1000;
}

OPS(DO(runnable), DO(enqueue), DO(running), .name = "value_links");
