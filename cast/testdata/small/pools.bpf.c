// SPDX-License-Identifier: GPL-2.0
/* Pools of freed memory, by what those that take memory from them make of it. */
#include "../suite/suite.h"
ARENA_MAP;

struct entry {
	u64 next;
	u64 task; /* holds entry.task -> struct task_struct (kernel, proven) */
	u32 nr;
};

struct other {
	u64 stamp;
	u32 cpu;
};

u64 entries; /* holds .bss.entries -> struct entry (arena, likely) */
u64 anything; /* no claim is made of it: two types are taken from it */
struct entry __arena *last;
struct other __arena *seen;

static __noinline u64 take_entry(void)
{
	u64 at = entries;

	if (at) {
		entries = *(u64 __arena *)at;
		return at;
	}
	return (u64)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
}

static __noinline u64 take_any(void)
{
	u64 at = anything;

	if (at) {
		anything = *(u64 __arena *)at;
		return at;
	}
	return (u64)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct entry __arena *e = (struct entry __arena *)take_entry();
	struct entry __arena *f = (struct entry __arena *)take_any();
	struct other __arena *o = (struct other __arena *)take_any();

	if (!e || !f || !o)
		return;
	e->task = (u64)p;
	e->nr = 1;
	last = e;
	f->task = (u64)p;
	f->nr = 2;
	o->stamp = 3;
	o->cpu = bpf_get_smp_processor_id();
	seen = o;
}

SEC("struct_ops/dispatch")
void dispatch(u64 *ctx)
{
	struct entry __arena *e = last;
	struct other __arena *o = seen;

	if (!e || !o)
		return;
	*(u64 __arena *)e = entries;
	entries = (u64)e;
	*(u64 __arena *)o = anything;
	anything = (u64)o;
}
SCHED(.enqueue = (void *)enqueue, .dispatch = (void *)dispatch);
