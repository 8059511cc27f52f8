// SPDX-License-Identifier: GPL-2.0
/* A timing wheel: throttled tasks wait in the bucket of the tick at which they
 * get their budget back. */
#include "scx.h"

#define WHEEL 64

LICENSE();
ARENA(256);

struct throttled {
	u64 next; /* truth throttled.next -> struct throttled (arena) */
	u64 prev; /* truth throttled.prev -> struct throttled (arena) */
	u64 at; /* none throttled.at */
	u64 budget; /* truth throttled.budget -> struct budget (arena) */
	u64 task; /* truth throttled.task -> struct task_struct (kernel) */
};

struct budget {
	u64 quota;
	u64 used;
	u64 period;
	u32 nr_throttled;
	u32 id;
};
DESCRIBE(budget);

struct wheel {
	u64 now; /* none wheel.now */
	u64 slots[WHEEL]; /* truth wheel.slots[] -> struct throttled (arena) */
	u64 cursor; /* truth wheel.cursor -> struct throttled (arena) */
};

struct wheel wheel;
STORAGE(budgets, BPF_MAP_TYPE_CGRP_STORAGE, u64); /* truth budgets -> struct budget (arena) */
u64 unused; /* truth .bss.unused -> struct throttled (arena) */

static __noinline void wheel_add(struct wheel *w, struct throttled __arena *t, u64 ticks)
{
	u64 slot = (w->now + ticks) % WHEEL;
	struct throttled __arena *first = (struct throttled __arena *)w->slots[slot];

	t->at = w->now + ticks;
	t->prev = 0;
	t->next = (u64)first;
	if (first)
		first->prev = (u64)t;
	w->slots[slot] = (u64)t;
}

static __noinline u32 wheel_advance(struct wheel *w)
{
	u64 slot = ++w->now % WHEEL;
	struct throttled __arena *t, *next;
	struct budget __arena *b;
	u32 n = 0;

	w->cursor = w->slots[slot];
	w->slots[slot] = 0;
	for (t = (struct throttled __arena *)w->cursor; t && can_loop(); t = next) {
		next = (struct throttled __arena *)t->next;
		w->cursor = (u64)next;
		if (t->at > w->now) {
			wheel_add(w, t, t->at - w->now);
			continue;
		}
		b = (struct budget __arena *)t->budget;
		if (b) {
			b->used = 0;
			b->nr_throttled--;
		}
		t->task = 0;
		t->next = unused;
		unused = (u64)t;
		n++;
	}
	return n;
}

OP2(s32, cgroup_init, struct cgroup *, cgrp, struct scx_cgroup_init_args *, args)
{
	u64 *v = bpf_cgrp_storage_get(&budgets, cgrp, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	struct budget __arena *b = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

	if (!v || !b)
		return -12;
	b->quota = args->weight * 100000ULL;
	b->period = 10000000;
	b->id = cgrp->kn->id;
	*v = (u64)b;
	return 0;
}

OP2(void, stopping, struct task_struct *, p, bool, runnable)
{
	struct cgroup *cgrp = scx_bpf_task_cgroup(p);
	struct throttled __arena *t;
	struct budget __arena *b;
	u64 *v;

	if (!cgrp)
		return;
	v = bpf_cgrp_storage_get(&budgets, cgrp, NULL, 0);
	bpf_cgroup_release(cgrp);
	if (!v || !*v)
		return;
	b = (struct budget __arena *)*v;
	b->used += SCX_SLICE_DFL - p->scx.slice;
	if (b->used < b->quota)
		return;
	t = (struct throttled __arena *)unused;
	if (t)
		unused = t->next;
	else
		t = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!t)
		return;
	t->budget = (u64)b;
	t->task = (u64)p;
	b->nr_throttled++;
	wheel_add(&wheel, t, b->period >> 20);
}

u64 released;

OP1(void, tick, struct task_struct *, p)
{
	if (!bpf_get_smp_processor_id())
		released += wheel_advance(&wheel);
}

OPS(DO(cgroup_init), DO(stopping), DO(tick), .name = "wheel");
