/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A stack of addresses in segments, with one empty segment in reserve, and its
 * user, which keeps free contexts in it.
 */
#include "../heldout/scx.h"

ARENA(512);

#define SLOTS 61

struct segment {
	u64 older;	/* truth segment.older -> struct segment (arena) */
	u64 newer;	/* truth segment.newer -> struct segment (arena) */
	u32 used;
	u64 slots[SLOTS];	/* truth segment.slots[] -> struct job (arena) */
};

struct stack {
	u64 first;	/* truth stack.first -> struct segment (arena) */
	u64 last;	/* truth stack.last -> struct segment (arena) */
	u64 current;	/* truth stack.current -> struct segment (arena) */
	u64 reserve;	/* truth stack.reserve -> struct segment (arena) */
	u64 held;
	u64 bytes;
};

struct job {
	u64 task;	/* truth job.task -> struct task_struct (kernel) */
	u64 queued_at;
	u64 stack;	/* truth job.stack -> struct stack (arena) */
	u64 mm;		/* truth job.mm -> struct mm_struct (kernel) */
};

struct stack __arena_global idle_jobs;
MAP(jobs, BPF_MAP_TYPE_HASH, 4096, s32, u64);	/* truth jobs -> struct job (arena) */

static __noinline u64 new_segment(struct stack __arena *s)
{
	struct segment __arena *seg = (struct segment __arena *)s->reserve;

	if (seg) {
		s->reserve = 0;
	} else {
		seg = (struct segment __arena *)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!seg)
			return 0;
		s->bytes += 4096;
	}
	seg->used = 0;
	seg->newer = 0;
	return (u64)seg;
}

__weak int stack_push(struct stack __arena *s, u64 what)
{
	struct segment __arena *seg = (struct segment __arena *)s->current, *more;

	if (!seg || seg->used == SLOTS) {
		more = (struct segment __arena *)new_segment(s);
		if (!more)
			return -12;
		more->older = (u64)seg;
		if (seg)
			seg->newer = (u64)more;
		else
			s->first = (u64)more;
		s->last = (u64)more;
		s->current = (u64)more;
		seg = more;
	}
	if (seg->used < SLOTS)
		seg->slots[seg->used++] = what;
	s->held++;
	return 0;
}

__weak u64 stack_pop(struct stack __arena *s)
{
	struct segment __arena *seg = (struct segment __arena *)s->current;
	u64 what;

	if (!seg)
		return 0;
	if (!seg->used) {
		struct segment __arena *older = (struct segment __arena *)seg->older;

		if (!older)
			return 0;
		if (s->reserve)
			bpf_arena_free_pages(&arena, (void __arena *)s->reserve, 1);
		s->reserve = (u64)seg;
		older->newer = 0;
		s->last = (u64)older;
		s->current = (u64)older;
		seg = older;
	}
	if (!seg->used || seg->used > SLOTS)
		return 0;
	what = seg->slots[--seg->used];
	s->held--;
	return what;
}

__weak int stack_drop(struct stack __arena *s)
{
	u64 seg = s->first;

	while (seg && can_loop()) {
		u64 newer = ((struct segment __arena *)seg)->newer;

		bpf_arena_free_pages(&arena, (void __arena *)seg, 1);
		seg = newer;
	}
	s->first = s->last = s->current = 0;
	return 0;
}

OP2(s32, init_task, struct task_struct *, p, struct scx_init_task_args *, args)
{
	struct job __arena *j = (struct job __arena *)stack_pop(&idle_jobs);
	s32 pid = p->pid;
	u64 at;

	if (!j) {
		j = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!j)
			return -12;
	}
	j->task = (u64)p;
	j->mm = (u64)p->mm;
	j->stack = (u64)&idle_jobs;
	j->queued_at = 0;
	at = (u64)j;
	return bpf_map_update_elem(&jobs, &pid, &at, 0);
}

OP2(void, exit_task, struct task_struct *, p, struct scx_exit_task_args *, args)
{
	s32 pid = p->pid;
	u64 *at = bpf_map_lookup_elem(&jobs, &pid);

	if (!at || !*at)
		return;
	stack_push((struct stack __arena *)((struct job __arena *)*at)->stack, *at);
	bpf_map_delete_elem(&jobs, &pid);
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	s32 pid = p->pid;
	u64 *at = bpf_map_lookup_elem(&jobs, &pid);

	if (at && *at)
		((struct job __arena *)*at)->queued_at = bpf_ktime_get_ns();
	scx_bpf_dsq_insert(p, SCX_DSQ_GLOBAL, SCX_SLICE_DFL, flags);
}

OP1(void, cgroup_exit, struct cgroup *, cgrp)
{
	if (idle_jobs.held > 1000)
		stack_drop(&idle_jobs);
}

DESCRIBE(segment);
DESCRIBE(job);
OPS(DO(init_task), DO(exit_task), DO(enqueue), DO(cgroup_exit), .name = "seg_queue");
LICENSE();
