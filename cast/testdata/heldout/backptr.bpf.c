// SPDX-License-Identifier: GPL-2.0
/* Contexts in an arena that know their task, and the map's value that knows
 * the context; integers of many kinds around them. */
#include "scx.h"

LICENSE();
ARENA(512);

struct task_ctx {
	u64 task; /* truth task_ctx.task -> struct task_struct (kernel) */
	u64 mm; /* truth task_ctx.mm -> struct mm_struct (kernel) */
	u64 cpus; /* truth task_ctx.cpus -> struct cpumask (kernel) */
	u64 start; /* none task_ctx.start */
	u64 key; /* pid and generation */ /* none task_ctx.key */
	s32 pid;
	u32 gen;
};
DESCRIBE(task_ctx);

struct map_val {
	u64 tid; /* none map_val.tid */
	u64 data; /* truth map_val.data -> struct task_ctx (arena) */
};

STORAGE(task_map, BPF_MAP_TYPE_TASK_STORAGE, struct map_val);
MAP(by_key, BPF_MAP_TYPE_HASH, 8192, u64, u64); /* truth by_key -> struct task_ctx (arena) */

u64 next_tid; /* none .bss.next_tid */
u64 last_woken; /* truth .bss.last_woken -> struct task_ctx (arena) */
ulong current_task; /* truth .bss.current_task -> struct task_struct (kernel) */

static struct task_ctx __arena *ctx_of(struct task_struct *p)
{
	struct map_val *v = bpf_task_storage_get(&task_map, p, NULL, 0);

	return v ? (struct task_ctx __arena *)v->data : NULL;
}

static __noinline u64 key_of(s32 pid, u32 gen)
{
	return (u64)gen << 32 | (u32)pid;
}

OP2(s32, init_task, struct task_struct *, p, struct scx_init_task_args *, args)
{
	struct map_val *v = bpf_task_storage_get(&task_map, p, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	struct task_ctx __arena *c = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	u64 key, addr;

	if (!v || !c)
		return -12;
	v->tid = ++next_tid;
	v->data = (u64)c;
	c->task = (u64)p;
	c->mm = (u64)p->mm;
	c->cpus = (u64)p->cpus_ptr;
	c->start = p->start_time;
	c->pid = p->pid;
	c->gen++;
	key = key_of(c->pid, c->gen);
	c->key = key;
	addr = (u64)c;
	return bpf_map_update_elem(&by_key, &key, &addr, 0);
}

OP2(void, runnable, struct task_struct *, p, u64, flags)
{
	struct task_ctx __arena *c = ctx_of(p);
	u64 key, *found;

	if (!c)
		return;
	last_woken = (u64)c;
	key = c->key;
	found = bpf_map_lookup_elem(&by_key, &key);
	if (found && *found && ((struct task_ctx __arena *)*found)->gen != c->gen)
		c->gen++;
}

OP1(void, running, struct task_struct *, p)
{
	current_task = (ulong)p;
}

OP2(void, set_cpumask, struct task_struct *, p, const struct cpumask *, mask)
{
	struct task_ctx __arena *c = ctx_of(p);

	if (c)
		c->cpus = (u64)mask;
}

OPS(DO(init_task), DO(runnable), DO(running), DO(set_cpumask), .name = "backptr");
