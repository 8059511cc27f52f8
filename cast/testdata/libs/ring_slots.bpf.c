/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Rings of words: one of many producers with a sequence in each slot, and a deque
 * for each CPU whose words are in pages that it leads to.
 */
#include "../heldout/scx.h"

ARENA(1024);

#define CELLS 64

struct cell {
	u64 seq;
	u64 what;	/* truth cell.what -> struct work (arena) */
};

struct mring {
	u64 head;
	u64 tail;
	struct cell cells[CELLS];
	u64 overflow;	/* truth mring.overflow -> struct work (arena) */
};

struct work {
	u64 task;	/* truth work.task -> struct task_struct (kernel) */
	u64 ring;	/* truth work.ring -> struct mring (arena) */
	u64 more;	/* truth work.more -> struct work (arena) */
	u64 deq;	/* truth work.deq -> struct deq (arena) */
	u64 cost;
};

struct deq {
	u64 top;
	u64 bottom;
	u64 words;	/* none deq.words */
	u64 victim;	/* truth deq.victim -> struct deq (arena) */
	u64 last;	/* truth deq.last -> struct work (arena) */
};

u64 ring_at;		/* truth .bss.ring_at -> struct mring (arena) */
u64 deqs[64];		/* truth .bss.deqs[] -> struct deq (arena) */

static __noinline int ring_put(struct mring __arena *r, u64 what)
{
	struct cell __arena *c;
	u64 pos = r->tail;

	while (can_loop()) {
		c = &r->cells[pos % CELLS];
		if (READ_ONCE(c->seq) != pos)
			return -28;
		if (cmpxchg(&r->tail, pos, pos + 1) == pos)
			break;
		pos = READ_ONCE(r->tail);
	}
	c = &r->cells[pos % CELLS];
	WRITE_ONCE(c->what, what);
	__sync_fetch_and_add(&c->seq, 1);
	return 0;
}

static __noinline u64 ring_get(struct mring __arena *r)
{
	struct cell __arena *c;
	u64 pos = r->head;

	c = &r->cells[pos % CELLS];
	if (READ_ONCE(c->seq) != pos + 1)
		return 0;
	if (cmpxchg(&r->head, pos, pos + 1) != pos)
		return 0;
	return xchg(&c->what, 0);
}

static __noinline int deq_push(struct deq __arena *d, u64 what)
{
	u64 __arena *words = (u64 __arena *)d->words;
	u64 b = d->bottom;

	if (!words || b - READ_ONCE(d->top) >= 500)
		return -28;
	words[b % 512] = what;
	WRITE_ONCE(d->bottom, b + 1);
	d->last = what;
	return 0;
}

static __noinline u64 deq_steal(struct deq __arena *d)
{
	u64 __arena *words = (u64 __arena *)d->words;
	u64 t = READ_ONCE(d->top), what;

	if (!words || t >= READ_ONCE(d->bottom))
		return 0;
	what = words[t % 512];
	return cmpxchg(&d->top, t, t + 1) == t ? what : 0;
}

OP0(s32, init)
{
	struct mring __arena *r = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	struct deq __arena *d, *before = NULL;
	int i;

	if (!r)
		return -12;
	for (i = 0; i < CELLS && can_loop(); i++)
		r->cells[i].seq = i;
	ring_at = (u64)r;
	for (i = 0; i < 64 && can_loop(); i++) {
		d = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!d)
			return -12;
		d->words = (u64)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		d->victim = (u64)before;
		before = d;
		deqs[i] = (u64)d;
	}
	return 0;
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	struct work __arena *w = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	struct mring __arena *r = (struct mring __arena *)ring_at;

	if (!w || !r)
		return;
	w->task = (u64)bpf_task_acquire(p);
	w->ring = (u64)r;
	w->cost = p->scx.slice;
	if (ring_put(r, (u64)w)) {
		w->more = r->overflow;
		r->overflow = (u64)w;
	}
}

OP2(void, dispatch, s32, cpu, struct task_struct *, prev)
{
	struct mring __arena *r = (struct mring __arena *)ring_at;
	struct deq __arena *d = (struct deq __arena *)deqs[cpu & 63];
	struct work __arena *w;

	if (!r || !d)
		return;
	w = (struct work __arena *)ring_get(r);
	if (!w && r->overflow) {
		w = (struct work __arena *)r->overflow;
		r->overflow = w->more;
	}
	if (w) {
		w->deq = (u64)d;
		deq_push(d, (u64)w);
	}
	w = (struct work __arena *)deq_steal(d);
	if (!w && d->victim)
		w = (struct work __arena *)deq_steal((struct deq __arena *)d->victim);
	if (!w)
		return;
	((struct deq __arena *)w->deq)->top += w->cost;
	if (((struct mring __arena *)w->ring)->overflow == (u64)w)
		d->bottom--;
	d->last = 0;
}

OP2(void, exit_task, struct task_struct *, p, struct scx_exit_task_args *, args)
{
	struct deq __arena *d = (struct deq __arena *)deqs[p->pid & 63];

	if (d && d->last)
		((struct work __arena *)d->last)->cost = 0;
}

DESCRIBE(work);
OPS(DO(init), DO(enqueue), DO(dispatch), DO(exit_task), .name = "ring_slots");
LICENSE();
