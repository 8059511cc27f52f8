/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Rings of pointers: per CPU, one of requests that waits for a consumer, and one of spent
 * requests that goes back. A full ring hands half of it on to a common one.
 */
#include "../heldout/scx.h"

ARENA(1024);

#define SLOTS 64

struct ring {
	u64 head;
	u64 tail;
	u64 slots[SLOTS];	/* truth ring.slots[] -> struct req (arena) */
};

struct req {
	u64 task;	/* truth req.task -> struct task_struct (kernel) */
	u64 back;	/* truth req.back -> struct ring (arena) */
	u64 when;
	u64 flags;
};

struct percpu {
	u64 todo;	/* truth percpu.todo -> struct ring (arena) */
	u64 done;	/* truth percpu.done -> struct ring (arena) */
	u64 lock;
};

u64 percpus[256];	/* truth .bss.percpus[] -> struct percpu (arena) */
u64 overflow;		/* truth .bss.overflow -> struct ring (arena) */

static __noinline int ring_put(struct ring __arena *r, u64 item)
{
	u64 tail = r->tail;

	if (tail - READ_ONCE(r->head) >= SLOTS)
		return -16;
	r->slots[tail % SLOTS] = item;
	WRITE_ONCE(r->tail, tail + 1);
	return 0;
}

static __noinline u64 ring_get(struct ring __arena *r)
{
	u64 head = r->head, item;

	do {
		if (head == READ_ONCE(r->tail))
			return 0;
		item = READ_ONCE(r->slots[head % SLOTS]);
		u64 seen = cmpxchg(&r->head, head, head + 1);

		if (seen == head)
			return item;
		head = seen;
	} while (can_loop());
	return 0;
}

static __noinline int ring_spill(struct ring __arena *from, struct ring __arena *to)
{
	int i;

	for (i = 0; i < SLOTS / 2 && can_loop(); i++) {
		u64 item = from->slots[(from->head + i) % SLOTS];

		if (!item)
			break;
		to->slots[(to->tail + i) % SLOTS] = item;
		from->slots[(from->head + i) % SLOTS] = 0;
	}
	from->head += i;
	to->tail += i;
	return i;
}

static __always_inline struct percpu __arena *cpu_at(s32 cpu)
{
	return (struct percpu __arena *)percpus[cpu & 255];
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	struct percpu __arena *c = cpu_at(scx_bpf_task_cpu(p));
	struct req __arena *q;

	if (!c)
		return;
	q = (struct req __arena *)ring_get((struct ring __arena *)c->done);
	if (!q)
		q = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!q)
		return;
	q->task = (u64)p;
	q->back = c->done;
	q->when = bpf_ktime_get_ns();
	q->flags = flags;
	if (ring_put((struct ring __arena *)c->todo, (u64)q)) {
		ring_spill((struct ring __arena *)c->todo, (struct ring __arena *)overflow);
		ring_put((struct ring __arena *)c->todo, (u64)q);
	}
}

OP2(void, dispatch, s32, cpu, struct task_struct *, prev)
{
	struct percpu __arena *c = cpu_at(cpu);
	u64 item;

	if (!c)
		return;
	item = ring_get((struct ring __arena *)c->todo);
	if (!item)
		item = ring_get((struct ring __arena *)overflow);
	if (!item)
		return;
	((struct req __arena *)item)->when = 0;
	ring_put((struct ring __arena *)((struct req __arena *)item)->back, item);
}

OP0(s32, init)
{
	u32 i;

	overflow = (u64)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	for (i = 0; i < 256 && can_loop(); i++) {
		struct percpu __arena *c = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

		if (!c)
			return -12;
		c->todo = (u64)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		c->done = (u64)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		percpus[i] = (u64)c;
	}
	return 0;
}

DESCRIBE(ring);
DESCRIBE(req);
DESCRIBE(percpu);
OPS(DO(enqueue), DO(dispatch), DO(init), .name = "ring_bufs");
LICENSE();
