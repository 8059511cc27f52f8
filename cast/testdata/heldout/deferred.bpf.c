// SPDX-License-Identifier: GPL-2.0
/* Deferred operations: what an operation works on depends on its kind, in a
 * union of the arguments. */
#include "scx.h"

LICENSE();
ARENA(256);

enum op_kind { OP_KICK, OP_MIGRATE, OP_REWEIGH };

struct layer {
	u64 usage;
	u32 id;
	u32 nr_tasks;
	u64 ops; /* truth layer.ops -> struct op (arena) */
};
DESCRIBE(layer);

struct task_ctx {
	u64 layer; /* truth task_ctx.layer -> struct layer (arena) */
	u64 vtime;
	s32 pid;
	u32 cpu;
	u64 last_op; /* truth task_ctx.last_op -> struct op (arena) */
};
DESCRIBE(task_ctx);

struct op {
	u64 next; /* truth op.next -> struct op (arena) */
	u32 kind;
	u32 cpu;
	union {
		struct {
			u64 taskc; /* truth op.migrate.taskc -> struct task_ctx (arena) */
			u64 dst; /* truth op.migrate.dst -> struct layer (arena) */
		} migrate;
		struct {
			u64 flags; /* none op.kick.flags */
			u64 when; /* none op.kick.when */
		} kick;
		struct {
			u64 weight; /* none op.reweigh.weight */
			u64 layer; /* truth op.reweigh.layer -> struct layer (arena) */
		} reweigh;
	};
};
DESCRIBE(op);

struct cpu_ops {
	u64 head; /* truth cpu_ops.head -> struct op (arena) */
	u64 nr_done;
};

MAP(cpu_ops, BPF_MAP_TYPE_PERCPU_ARRAY, 1, u32, struct cpu_ops);
STORAGE(tasks, BPF_MAP_TYPE_TASK_STORAGE, u64); /* truth tasks -> struct task_ctx (arena) */

u64 layers[4]; /* truth .bss.layers[] -> struct layer (arena) */

static struct op __arena *op_new(struct cpu_ops *q, u32 kind)
{
	struct op __arena *op = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

	if (!op)
		return NULL;
	op->kind = kind;
	op->cpu = bpf_get_smp_processor_id();
	op->next = q->head;
	q->head = (u64)op;
	return op;
}

static __noinline void perform(struct op __arena *op)
{
	struct task_ctx __arena *c;
	struct layer __arena *l;

	switch (op->kind) {
	case OP_KICK:
		if (op->kick.when < bpf_ktime_get_ns())
			scx_bpf_kick_cpu(op->cpu, op->kick.flags);
		break;
	case OP_MIGRATE:
		c = (struct task_ctx __arena *)op->migrate.taskc;
		if (!c)
			break;
		l = (struct layer __arena *)c->layer;
		if (l)
			l->nr_tasks--;
		c->layer = op->migrate.dst;
		l = (struct layer __arena *)op->migrate.dst;
		if (l)
			l->nr_tasks++;
		c->last_op = (u64)op;
		break;
	case OP_REWEIGH:
		l = (struct layer __arena *)op->reweigh.layer;
		if (l) {
			l->usage = l->usage * op->reweigh.weight / 100;
			l->ops = (u64)op;
		}
		break;
	}
}

OP0(s32, init)
{
	struct layer __arena *l;
	int i;

	for (i = 0; i < 4; i++) {
		l = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!l)
			return -12;
		l->id = i;
		layers[i] = (u64)l;
	}
	return 0;
}

OP2(s32, init_task, struct task_struct *, p, struct scx_init_task_args *, args)
{
	u64 *v = bpf_task_storage_get(&tasks, p, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	struct task_ctx __arena *c = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

	if (!v || !c)
		return -12;
	c->pid = p->pid;
	c->layer = layers[p->pid & 3];
	*v = (u64)c;
	return 0;
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	u32 zero = 0;
	struct cpu_ops *q = bpf_map_lookup_elem(&cpu_ops, &zero);
	u64 *v = bpf_task_storage_get(&tasks, p, NULL, 0);
	struct task_ctx __arena *c;
	struct op __arena *op;

	if (!q || !v || !*v)
		return;
	c = (struct task_ctx __arena *)*v;
	c->cpu = scx_bpf_task_cpu(p);
	if (p->nr_cpus_allowed == 1) {
		op = op_new(q, OP_KICK);
		if (op) {
			op->kick.flags = flags;
			op->kick.when = bpf_ktime_get_ns() + 1000;
		}
	} else if (flags & 4) {
		op = op_new(q, OP_MIGRATE);
		if (op) {
			op->migrate.taskc = (u64)c;
			op->migrate.dst = layers[c->cpu & 3];
		}
	} else {
		op = op_new(q, OP_REWEIGH);
		if (op) {
			op->reweigh.weight = p->scx.weight;
			op->reweigh.layer = c->layer;
		}
	}
}

OP2(void, dispatch, s32, cpu, struct task_struct *, prev)
{
	u32 zero = 0;
	struct cpu_ops *q = bpf_map_lookup_elem(&cpu_ops, &zero);
	struct op __arena *op;

	if (!q)
		return;
	op = (struct op __arena *)q->head;
	if (!op)
		return;
	q->head = op->next;
	perform(op);
	q->nr_done++;
}

OPS(DO(init), DO(init_task), DO(enqueue), DO(dispatch), .name = "deferred");
