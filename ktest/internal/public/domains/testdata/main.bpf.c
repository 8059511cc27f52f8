// SPDX-License-Identifier: GPL-2.0
/*
 * A scheduler that keeps accounts of last-level caches and NUMA nodes. User space tells
 * it which CPUs and caches there are, has it set up its arena, and attaches it. It makes
 * no queues of its own, since Debian's Linux 7.2 has the function for that with an
 * argument that no program can give.
 */
#include "bpf.h"

char LICENSE[] SEC("license") = "GPL";

/* User space sets these before the load. */
const volatile u32 nr_cpu_ids = 1;
const volatile u32 nr_llcs = 1;
const volatile u32 nr_nodes = 1;
const volatile u64 slice_ns = 20000000;
const volatile bool direct = true; /* idle CPUs get tasks at once */
const volatile u32 RESIZABLE_ARRAY(rodata, cpu_llc);
const volatile u32 RESIZABLE_ARRAY(rodata, llc_node);
struct llc_ctx RESIZABLE_ARRAY(data, llc_ctxs);

extern unsigned int CONFIG_HZ __kconfig __weak;
extern bool CONFIG_NUMA __kconfig __weak;
extern unsigned int CONFIG_OF_NO_KERNEL __kconfig __weak;

extern const struct rq runqueues __ksym;
extern const struct rq runqueues_of_no_kernel __ksym __weak;

struct task_slot {
	struct task_ctx __arena *ctx;
};

struct {
	__uint(type, 29); /* BPF_MAP_TYPE_TASK_STORAGE */
	__uint(map_flags, 1);
	__type(key, int);
	__type(value, struct task_slot);
} task_slots SEC(".maps");

struct node_ctx __arena *nodes; /* a list */
struct task_ctx __arena *newest;
u64 nr_direct;
u64 nr_unknown; /* tasks without a context: the pool was empty */
u32 hz, option_of_no_kernel;
bool numa, has_runqueues_of_no_kernel;
u64 nr_own_rq, nr_other_rq; /* whether a CPU's run queue says that it is of that CPU */
s64 exit_code;
static u64 hits; /* idle CPUs that were found; pool.bpf.c has hits, too */

static __always_inline u32 llc_of(u32 cpu)
{
	const u32 *llc = element(cpu_llc, sizeof(cpu_llc[0]), cpu, nr_cpu_ids);

	return llc ? *llc : 0;
}

static __always_inline struct llc_ctx *llc_ctx(u32 llc)
{
	return element(llc_ctxs, sizeof(llc_ctxs[0]), llc, nr_llcs);
}

/* Run once by user space, before the scheduler is attached. */
SEC("syscall")
int setup(struct setup_args *args)
{
	struct bpf_iter_num it;
	int *i, err;

	use_arena();
	err = pool_init(args->nr_tasks + nr_nodes);
	if (err)
		return err;
	bpf_iter_num_new(&it, 0, nr_nodes);
	while ((i = bpf_iter_num_next(&it))) {
		struct node_ctx __arena *n = (struct node_ctx __arena *)pool_alloc(sizeof(*n));

		if (!n)
			break;
		n->id = nr_nodes - 1 - *i; /* the list begins with node 0 */
		n->nr_llcs = 0;
		n->nr_running = 0;
		n->next = nodes;
		nodes = n;
		args->nr_nodes_made++;
	}
	bpf_iter_num_destroy(&it);
	args->pool = pool_begin();
	args->pool_size = (u64)(args->nr_tasks + nr_nodes) * BLOCK;
	return 0;
}

static __always_inline struct node_ctx __arena *node_ctx(u32 id)
{
	struct node_ctx __arena *n = nodes;
	struct bpf_iter_num it;

	bpf_iter_num_new(&it, 0, nr_nodes);
	while (bpf_iter_num_next(&it) && n) {
		if (n->id == id)
			break;
		n = n->next;
	}
	bpf_iter_num_destroy(&it);
	return n;
}

BPF_STRUCT_OPS(domains_select_cpu)
s32 domains_select_cpu(u64 *ctx)
{
	struct task_struct *p = (struct task_struct *)ctx[0];
	bool idle = false;
	s32 cpu = scx_bpf_select_cpu_dfl(p, ctx[1], ctx[2], &idle);

	if (idle)
		__sync_fetch_and_add(&hits, 1);
	if (idle && direct) {
		__sync_fetch_and_add(&nr_direct, 1);
		scx_bpf_dsq_insert(p, SCX_DSQ_LOCAL, slice_ns, 0);
	}
	return cpu;
}

BPF_STRUCT_OPS(domains_enqueue)
void domains_enqueue(u64 *ctx)
{
	struct task_struct *p = (struct task_struct *)ctx[0];
	u32 cpu = scx_bpf_task_cpu(p), llc = llc_of(cpu);
	struct llc_ctx *c = llc_ctx(llc);

	if (c)
		__sync_fetch_and_add(&c->nr_enqueued, 1);
	scx_bpf_dsq_insert(p, SCX_DSQ_LOCAL_ON | cpu, slice_ns, ctx[1]);
}

BPF_STRUCT_OPS(domains_running)
void domains_running(u64 *ctx)
{
	struct task_struct *p = (struct task_struct *)ctx[0];
	struct task_slot *slot = bpf_task_storage_get(&task_slots, p, NULL, 0);
	struct task_ctx __arena *t;
	struct node_ctx __arena *n;
	u32 cpu = bpf_get_smp_processor_id();
	const struct rq *rq = bpf_per_cpu_ptr(&runqueues, cpu);
	struct llc_ctx *c;

	use_arena();
	if (rq)
		__sync_fetch_and_add(rq->cpu == cpu ? &nr_own_rq : &nr_other_rq, 1);
	if (!slot || !slot->ctx)
		return;
	t = slot->ctx;
	t->llc = llc_of(cpu);
	t->runs++;
	c = llc_ctx(t->llc);
	if (!c)
		return;
	n = node_ctx(c->node);
	if (!n)
		return;
	t->node = n;
	n->nr_running++;
}

BPF_STRUCT_OPS_SLEEPABLE(domains_init_task)
s32 domains_init_task(u64 *ctx)
{
	struct task_struct *p = (struct task_struct *)ctx[0];
	struct task_slot *slot = bpf_task_storage_get(&task_slots, p, NULL, 1);
	struct task_ctx __arena *t;

	use_arena();
	if (!slot)
		return -12; /* ENOMEM */
	t = (struct task_ctx __arena *)pool_alloc(sizeof(*t));
	if (!t) {
		__sync_fetch_and_add(&nr_unknown, 1);
		return 0;
	}
	*(volatile u64 __arena *)&t->node = 0;
	*(volatile u32 __arena *)&t->llc = 0;
	*(volatile u64 __arena *)&t->runs = 0;
	t->pid = p->pid;
	slot->ctx = t;
	newest = t;
	return 0;
}

BPF_STRUCT_OPS(domains_exit_task)
void domains_exit_task(u64 *ctx)
{
	struct task_slot *slot = bpf_task_storage_get(&task_slots, (struct task_struct *)ctx[0], NULL, 0);

	use_arena();
	if (slot && slot->ctx) {
		pool_free((u64)slot->ctx);
		slot->ctx = NULL;
	}
}

BPF_STRUCT_OPS_SLEEPABLE(domains_init)
s32 domains_init(u64 *ctx)
{
	struct bpf_iter_num it;
	s32 *i;

	use_arena();
	if (!nodes)
		return -22; /* EINVAL: setup was not run */
	hz = CONFIG_HZ;
	numa = CONFIG_NUMA;
	option_of_no_kernel = CONFIG_OF_NO_KERNEL;
	has_runqueues_of_no_kernel = &runqueues_of_no_kernel != NULL;
	bpf_iter_num_new(&it, 0, nr_cpu_ids);
	while ((i = bpf_iter_num_next(&it))) {
		struct llc_ctx *c = llc_ctx(llc_of(*i));

		if (c)
			c->nr_cpus++;
	}
	bpf_iter_num_destroy(&it);
	bpf_iter_num_new(&it, 0, nr_llcs);
	while ((i = bpf_iter_num_next(&it))) {
		const u32 *node = element(llc_node, sizeof(llc_node[0]), *i, nr_llcs);
		struct llc_ctx *c = llc_ctx(*i);
		struct node_ctx __arena *n;

		if (!node || !c)
			continue;
		c->node = *node;
		n = node_ctx(*node);
		if (n)
			n->nr_llcs++;
	}
	bpf_iter_num_destroy(&it);
	return 0;
}

BPF_STRUCT_OPS(domains_exit)
void domains_exit(u64 *ctx)
{
	exit_code = ((struct scx_exit_info *)ctx[0])->exit_code;
}

SEC(".struct_ops.link")
struct sched_ext_ops domains_ops = {
	.select_cpu = (void *)domains_select_cpu,
	.enqueue = (void *)domains_enqueue,
	.running = (void *)domains_running,
	.init_task = (void *)domains_init_task,
	.exit_task = (void *)domains_exit_task,
	.init = (void *)domains_init,
	.exit = (void *)domains_exit,
	.timeout_ms = 30000,
	.name = "domains",
};
