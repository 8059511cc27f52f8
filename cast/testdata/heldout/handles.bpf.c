// SPDX-License-Identifier: GPL-2.0
/* Handles that are checked before use: a number of an object and how often it
 * was reused. Next to them addresses that were never meant to be followed, and
 * scratch space that serves several purposes. */
#include "scx.h"

#define NR_OBJS 256

LICENSE();
ARENA(128);

struct obj {
	u64 handle; /* none obj.handle */
	u64 scratch; /* a time, a task's address, a count */ /* none obj.scratch */
	u64 next_handle; /* none obj.next_handle */
	u64 vtime; /* none obj.vtime */
	u64 creator; /* truth obj.creator -> struct task_struct (kernel) */
};

struct dir {
	u64 objs[NR_OBJS]; /* truth dir.objs[] -> struct obj (arena) */
	u64 first_handle; /* none dir.first_handle */
	u64 alive; /* none dir.alive */
};

struct task_val {
	u64 handle; /* none task_val.handle */
	u64 expect; /* the other half, inverted */ /* none task_val.expect */
	u64 packed[2]; /* weight and CPU; pid and tgid */ /* none task_val.packed[] */
};

struct dir __arena *dir;
STORAGE(tasks, BPF_MAP_TYPE_TASK_STORAGE, struct task_val);
u64 generation; /* none .bss.generation */
u64 checksum; /* none .bss.checksum */

static __noinline struct obj __arena *deref(u64 handle)
{
	struct obj __arena *o;

	if (!dir)
		return NULL;
	o = (struct obj __arena *)dir->objs[handle & (NR_OBJS - 1)];
	if (!o || o->handle != handle)
		return NULL;
	return o;
}

static __noinline u64 create(struct task_struct *p)
{
	struct obj __arena *o;
	u64 i;

	if (!dir)
		return 0;
	for (i = 0; i < NR_OBJS && can_loop(); i++)
		if (!dir->objs[i & (NR_OBJS - 1)])
			break;
	i &= NR_OBJS - 1;
	o = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!o)
		return 0;
	o->handle = ++generation << 8 | i;
	o->creator = (u64)p;
	o->next_handle = dir->first_handle;
	dir->first_handle = o->handle;
	dir->objs[i] = (u64)o;
	dir->alive++;
	checksum ^= (u64)o;
	return o->handle;
}

OP0(s32, init)
{
	dir = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	return dir ? 0 : -12;
}

OP2(s32, init_task, struct task_struct *, p, struct scx_init_task_args *, args)
{
	struct task_val *v = bpf_task_storage_get(&tasks, p, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (!v)
		return -12;
	v->handle = create(p);
	v->expect = ~v->handle;
	v->packed[0] = (u64)p->scx.weight << 32 | scx_bpf_task_cpu(p);
	v->packed[1] = (u64)p->pid << 32 | p->tgid;
	return 0;
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	struct task_val *v = bpf_task_storage_get(&tasks, p, NULL, 0);
	struct obj __arena *o;

	if (!v || v->expect != ~v->handle)
		return;
	o = deref(v->handle);
	if (!o)
		return;
	if (flags & 1)
		o->scratch = bpf_ktime_get_ns();
	else if (flags & 2)
		o->scratch = (u64)p;
	else
		o->scratch++;
	o->vtime += p->scx.weight;
	scx_bpf_dsq_insert_vtime(p, 0, SCX_SLICE_DFL, o->vtime, flags);
}

OP2(void, dispatch, s32, cpu, struct task_struct *, prev)
{
	struct obj __arena *o = dir ? deref(dir->first_handle) : NULL;

	while (o && can_loop()) {
		if (o->scratch & 1)
			o->vtime--;
		o = deref(o->next_handle);
	}
	scx_bpf_dsq_move_to_local(0);
}

OPS(DO(init), DO(init_task), DO(enqueue), DO(dispatch), .name = "handles");
