/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A stack of idle workers that grows by segments: a segment that was emptied last is kept
 * in reserve.
 */
#include "../heldout/scx.h"

ARENA(1024);

#define PER_SEG 60

struct seg {
	struct seg __arena *below;
	u64 above;		/* truth seg.above -> struct seg (arena) */
	u64 items[PER_SEG];	/* truth seg.items[] -> struct worker (arena) */
};

struct stack {
	u64 bottom;	/* truth stack.bottom -> struct seg (arena) */
	u64 top;	/* truth stack.top -> struct seg (arena) */
	u64 reserve;	/* truth stack.reserve -> struct seg (arena) */
	u64 used;
	u64 capacity;
};

struct worker {
	u64 curr;	/* truth worker.curr -> struct task_struct (kernel) */
	u64 stack;	/* truth worker.stack -> struct stack (arena) */
	u32 cpu;
	u32 idle;
};

u64 idle_stacks[8];	/* truth .bss.idle_stacks[] -> struct stack (arena) */
u64 workers[512];	/* truth .bss.workers[] -> struct worker (arena) */

static __noinline int push(u64 stack, u64 item)
{
	struct stack __arena *s = (struct stack __arena *)stack;
	struct seg __arena *g = (struct seg __arena *)s->top;

	if (!g || s->used == PER_SEG) {
		struct seg __arena *more = (struct seg __arena *)s->reserve;

		s->reserve = 0;
		if (!more)
			more = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!more)
			return -12;
		more->below = g;
		more->above = 0;
		if (g)
			g->above = (u64)more;
		else
			s->bottom = (u64)more;
		s->top = (u64)more;
		s->used = 0;
		s->capacity += PER_SEG;
		g = more;
	}
	if (s->used < PER_SEG)
		g->items[s->used++] = item;
	return 0;
}

static __noinline u64 pop(u64 stack)
{
	struct stack __arena *s = (struct stack __arena *)stack;
	struct seg __arena *g = (struct seg __arena *)s->top;
	u64 item, at;

	if (!g)
		return 0;
	if (!s->used) {
		if (!g->below)
			return 0;
		if (s->reserve)
			bpf_arena_free_pages(&arena, (void __arena *)s->reserve, 1);
		s->reserve = (u64)g;
		g = g->below;
		g->above = 0;
		s->top = (u64)g;
		s->used = PER_SEG;
	}
	at = --s->used;
	if (at >= PER_SEG)
		return 0;
	item = g->items[at];
	g->items[at] = 0;
	return item;
}

/* Counts what the stack holds, from the bottom. */
static __noinline int census(u64 stack)
{
	u64 at = ((struct stack __arena *)stack)->bottom;
	int n = 0, i;

	while (at && can_loop()) {
		struct seg __arena *g = (struct seg __arena *)at;

		for (i = 0; i < PER_SEG && can_loop(); i++)
			if (g->items[i])
				n += ((struct worker __arena *)g->items[i])->idle;
		at = g->above;
	}
	return n;
}

OP1(void, tick, struct task_struct *, p)
{
	u32 cpu = bpf_get_smp_processor_id() & 511;
	struct worker __arena *w = (struct worker __arena *)workers[cpu];

	if (!w)
		return;
	w->curr = (u64)p;
	w->idle = census(w->stack);
}

OP2(void, dispatch, s32, cpu, struct task_struct *, prev)
{
	struct worker __arena *w = (struct worker __arena *)workers[cpu & 511];

	if (!w)
		return;
	w->idle = 1;
	push(w->stack, (u64)w);
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	u64 w = pop(idle_stacks[p->pid & 7]);

	if (w)
		scx_bpf_kick_cpu(((struct worker __arena *)w)->cpu, 0);
}

OP0(s32, init)
{
	int i;

	for (i = 0; i < 8 && can_loop(); i++)
		idle_stacks[i] = (u64)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	for (i = 0; i < 512 && can_loop(); i++) {
		struct worker __arena *w = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

		if (!w)
			return -12;
		w->cpu = i;
		w->stack = idle_stacks[i & 7];
		workers[i] = (u64)w;
	}
	return 0;
}

DESCRIBE(seg);
DESCRIBE(worker);
DESCRIBE(stack);
OPS(DO(tick), DO(dispatch), DO(enqueue), DO(init), .name = "stack_segs");
LICENSE();
