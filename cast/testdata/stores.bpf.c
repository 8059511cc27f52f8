// SPDX-License-Identifier: GPL-2.0
/* Pointers that are stored where the type says integer, in every way that
 * reaches memory. A want comment stands at an instruction that proves it. */
#include "cast.h"

struct inner {
	u64 owner;
	u64 stamp;
};

struct elem {
	u32 weight;
	u64 task;
};

struct task_ctx {
	u64 task;
	long parent;
	void *priv;
	u64 slots[4];
	struct inner in;
	struct elem elems[8];
	u64 plain;
	u64 exchanged;
	u64 deadline;
	union {
		u64 either;
		struct {
			u32 lo, hi;
		};
	};
};

struct {
	__uint(type, TASK_STORAGE);
	__uint(map_flags, 1);
	__type(key, s32);
	__type(value, struct task_ctx);
} storage SEC(".maps");

struct {
	__uint(type, HASH);
	__uint(max_entries, 16);
	__type(key, s32);
	__type(value, struct update_val { u64 task; u64 count; });
} updated SEC(".maps");

SINGLE(values, u64);

u64 global_task;
static u64 global_array[4];
u64 global_number;

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct task_ctx *c = bpf_task_storage_get(&storage, p, NULL, 1);
	u32 i = bpf_get_prandom_u32() & 7;

	if (!c)
		return;
	c->task = (u64)p; /* want task_ctx.task -> struct task_struct (kernel, proven) */
	c->parent = (long)bpf_get_current_task_btf(); /* want task_ctx.parent -> struct task_struct (kernel, proven) */
	c->priv = bpf_cgroup_from_id(1); /* want task_ctx.priv -> struct cgroup (kernel, proven) */
	c->slots[i & 3] = (u64)p; /* want task_ctx.slots[] -> struct task_struct (kernel, proven) */
	c->elems[i].task = (u64)p; /* want elem.task -> struct task_struct (kernel, proven) */
	c->elems[i].weight = 3;
	c->plain = ARG(ctx, 1);
	c->deadline = bpf_ktime_get_ns();
	c->either = (u64)p; /* want task_ctx.either -> struct task_struct (kernel, proven) */
	__sync_lock_test_and_set(&c->exchanged, (u64)p); /* want task_ctx.exchanged -> struct task_struct (kernel, proven) */
	global_task = (u64)p; /* want .bss.global_task -> struct task_struct (kernel, proven) */
	global_array[i & 3] = (u64)c; /* want .bss.global_array[] -> struct task_ctx (map value, proven) */
	global_number = c->in.stamp + c->plain;
}

static __noinline void put(u64 *slot, u64 v)
{
	*slot = v; /* want inner.owner -> struct task_struct (kernel, proven) */
}

SEC("struct_ops/init_task")
int init_task(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct update_val v = { .task = (u64)p, .count = ARG(ctx, 1) != 0 };
	struct task_ctx *c = bpf_task_storage_get(&storage, p, NULL, 1);
	u64 *value = LOOKUP(values);

	if (!c || !value)
		return 1;
	put(&c->in.owner, (u64)p);
	put(&c->in.stamp, bpf_ktime_get_ns());
	*value = (u64)c; /* want values -> struct task_ctx (map value, proven) */
	bpf_map_update_elem(&updated, &p->pid, &v, 0); /* want update_val.task -> struct task_struct (kernel, proven) */
	return global_array[0] + global_task + global_number;
}

SEC(".struct_ops.link")
struct test_ops ops = {
	.enqueue = (void *)enqueue,
	.init_task = (void *)init_task,
};
