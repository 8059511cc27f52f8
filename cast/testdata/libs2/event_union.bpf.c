/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Events in a log, which are copied as a whole: by assignment from the stack, by a loop over
 * words, and from entry to entry. What an event is about is a number or one of two
 * pointers, as its kind says.
 */
#include "../heldout/scx.h"

ARENA(256);

enum { EV_TICK, EV_TASK, EV_LAYER };

struct event {
	u64 when;
	u32 kind;
	u32 cpu;
	union {
		u64 count;
		u64 task;	/* truth event.task -> struct task_struct (kernel) */
		u64 layer;	/* truth event.layer -> struct layer (arena) */
	};
	u64 log;		/* truth event.log -> struct elog (arena) */
};

struct elog {
	u64 nr;
	u64 other;	/* truth elog.other -> struct elog (arena) */
	struct event events[64];
};

struct layer {
	u64 name;
	u64 logs;	/* truth layer.logs -> struct elog (arena) */
	u64 last;	/* truth layer.last -> struct event (arena) */
	u64 nr_events;
};

/* A layer's id is a number while it is free, and the next free one's address. */
struct layer_slot {
	union {
		u64 id;
		u64 next;	/* truth layer_slot.next -> struct layer_slot (arena) */
	};
	u64 layer;		/* truth layer_slot.layer -> struct layer (arena) */
	u64 is_used;
};

u64 free_slots;		/* truth .bss.free_slots -> struct layer_slot (arena) */
u64 current_layer;	/* truth .bss.current_layer -> struct layer (arena) */

static __noinline u64 log_add(u64 log, u32 kind, u64 what)
{
	struct elog __arena *l = (struct elog __arena *)log;
	struct event __arena *e;

	if (!l)
		return 0;
	e = &l->events[l->nr++ & 63];
	e->when = bpf_ktime_get_ns();
	e->kind = kind;
	e->cpu = bpf_get_smp_processor_id();
	switch (kind) {
	case EV_TICK:
		e->count = what & 0xffff;
		break;
	default:
		break;
	}
	e->log = log;
	return (u64)e;
}

static __noinline int log_copy(struct event __arena *to, struct event __arena *from)
{
	u64 __arena *a = (u64 __arena *)to, *b = (u64 __arena *)from;
	u32 i;

	for (i = 0; i < sizeof(*to) / 8 && can_loop(); i++)
		a[i] = b[i];
	return 0;
}

static __noinline int log_move(u64 log, u32 to, u32 from)
{
	struct elog __arena *l = (struct elog __arena *)log;

	l->events[to & 63] = l->events[from & 63];
	return 0;
}

static __noinline struct layer __arena *event_layer(struct event __arena *e)
{
	if (e->kind != EV_LAYER)
		return NULL;
	return (struct layer __arena *)e->layer;
}

static __noinline int layer_new(u64 name)
{
	struct layer_slot __arena *s = (struct layer_slot __arena *)free_slots;
	struct layer __arena *l;

	if (!s)
		return -12;
	free_slots = s->next;
	s->id = name;
	s->is_used = 1;
	l = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!l)
		return -12;
	l->name = name;
	l->logs = (u64)bpf_arena_alloc_pages(&arena, NULL, 2, -1, 0);
	if (l->logs)
		((struct elog __arena *)l->logs)->other = (u64)bpf_arena_alloc_pages(&arena, NULL, 2, -1, 0);
	s->layer = (u64)l;
	current_layer = (u64)l;
	return 0;
}

static __noinline int layer_drop(u64 slot)
{
	struct layer_slot __arena *s = (struct layer_slot __arena *)slot;

	s->is_used = 0;
	((struct layer __arena *)s->layer)->name = s->id;
	s->layer = 0;
	s->next = free_slots;
	free_slots = slot;
	return 0;
}

OP1(void, tick, struct task_struct *, p)
{
	struct layer __arena *l = (struct layer __arena *)current_layer;
	struct event __arena *e;

	if (!l)
		return;
	log_add(l->logs, EV_TICK, p->scx.slice);
	e = (struct event __arena *)log_add(l->logs, EV_TASK, 0);
	if (!e)
		return;
	e->task = (u64)p;
	l->last = (u64)e;
	l->nr_events++;
}

OP1(void, running, struct task_struct *, p)
{
	struct layer __arena *l = (struct layer __arena *)current_layer, *m;
	struct elog __arena *log;
	struct event __arena *e;

	if (!l || !l->last)
		return;
	e = (struct event __arena *)log_add(l->logs, EV_LAYER, 0);
	if (!e)
		return;
	e->layer = (u64)l;
	log = (struct elog __arena *)e->log;
	if (log->other)
		log_copy(&((struct elog __arena *)log->other)->events[0], e);
	log_move(l->logs, 1, 2);
	m = event_layer((struct event __arena *)l->last);
	if (m)
		m->nr_events++;
}

OP2(s32, cgroup_init, struct cgroup *, cgrp, struct scx_cgroup_init_args *, args)
{
	return layer_new(cgrp->kn->id);
}

OP1(void, cgroup_exit, struct cgroup *, cgrp)
{
	struct layer_slot __arena *s = (struct layer_slot __arena *)free_slots;

	if (s)
		layer_drop((u64)(s + 1));
}

OP0(s32, init)
{
	struct layer_slot __arena *s = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	u32 i;

	if (!s)
		return -12;
	for (i = 0; i < 64 && can_loop(); i++) {
		s[i].next = free_slots;
		free_slots = (u64)&s[i];
	}
	return 0;
}

DESCRIBE(event);
DESCRIBE(elog);
DESCRIBE(layer);
DESCRIBE(layer_slot);
OPS(DO(tick), DO(running), DO(cgroup_init), DO(cgroup_exit), DO(init), .name = "event_union");
LICENSE();
