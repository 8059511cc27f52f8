// SPDX-License-Identifier: GPL-2.0
/* Containers that cannot be told apart, or that hold several things: one in an array, by
 * an index; one that two types share; one that is filled through a callback; one that is
 * reached by a pointer that a function picks; a union in what they hold; nodes that go
 * from one list to another; a recursion. */
#include "suite.h"
ARENA_MAP;

struct box {
	u64 next; /* truth: box.next -> struct box (arena) */
	u64 what; /* truth: box.what different */
};
struct shelf {
	u64 head; /* truth: shelf.head -> struct box (arena) */
	u64 kept; /* truth: shelf.kept different */
	u64 nr; /* truth: shelf.nr number */
};
struct red {
	u64 weight; /* truth: red.weight number */
	u64 partner; /* truth: red.partner different */
	u32 pid;
	u32 nr;
};
struct blue {
	u32 cpu;
	u32 nr;
	u64 stamp; /* truth: blue.stamp number */
	u64 seen; /* truth: blue.seen different */
	union {
		u64 owner; /* truth: blue.owner -> struct red (arena) */
		u64 ticket; /* truth: blue.ticket number */
	};
};
struct fill {
	u64 shelf; /* truth: fill.shelf any */
	u64 item; /* truth: fill.item different */
	u32 nr;
};
struct shelf by_kind[4], mixed, reds, blues, moved;
u64 last_taken; /* truth: .bss.last_taken different */
u64 any_of[2]; /* truth: .bss.any_of[] different */
u64 picked; /* truth: .bss.picked different */
struct box __arena *typed_box;
struct red __arena *typed_red;
struct blue __arena *typed_blue;

static __noinline int shelf_put(struct shelf *s, u64 what)
{
	struct box __arena *b = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

	if (!b)
		return -1;
	b->what = what;
	b->next = s->head;
	s->head = (u64)b;
	s->nr++;
	return 0;
}

static __noinline u64 shelf_get(struct shelf *s)
{
	struct box __arena *b = (struct box __arena *)s->head;

	if (!b)
		return 0;
	s->head = b->next;
	s->kept = b->what;
	return b->what;
}

static __noinline void shelf_move(struct shelf *to, struct shelf *from)
{
	struct box __arena *b = (struct box __arena *)from->head;

	if (!b)
		return;
	from->head = b->next;
	b->next = to->head;
	to->head = (u64)b;
}

static __noinline struct shelf *shelf_of(u32 kind)
{
	return kind & 1 ? &reds : &blues;
}

static long put_one(u32 i, struct fill *f)
{
	if (i > f->nr)
		return 1;
	return shelf_put((struct shelf *)f->shelf, f->item);
}

SEC("struct_ops/init_task")
int init_task(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct red __arena *r = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	struct blue __arena *b = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	struct fill f = {};

	if (!r || !b)
		return -12;
	r->pid = p->pid;
	r->weight = 100;
	b->cpu = bpf_get_smp_processor_id();
	b->stamp = bpf_ktime_get_ns();
	if (p->pid & 1)
		b->owner = (u64)r;
	else
		b->ticket = bpf_ktime_get_ns();
	shelf_put(&by_kind[p->pid & 3], (u64)r);
	shelf_put(&by_kind[b->cpu & 3], (u64)b);
	shelf_put(&mixed, p->pid & 4 ? (u64)r : (u64)b);
	shelf_put(&reds, (u64)r);
	shelf_put(&blues, (u64)b);
	shelf_put(shelf_of(p->pid), p->pid & 1 ? (u64)r : (u64)b);
	f.shelf = (u64)&moved;
	f.item = p->pid & 8 ? (u64)r : (u64)b;
	f.nr = 2;
	bpf_loop(3, put_one, &f, 0);
	return 0;
}

static __noinline u64 deepest(struct box __arena *b, u32 depth)
{
	if (!b || depth > 8)
		return 0;
	if (!b->next)
		return b->what;
	return deepest((struct box __arena *)b->next, depth + 1);
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	u64 x = shelf_get(&by_kind[p->pid & 3]);
	u64 y = shelf_get(&mixed);
	u64 z = shelf_get(shelf_of(p->pid));

	last_taken = x;
	any_of[0] = y;
	any_of[1] = z;
	picked = deepest((struct box __arena *)moved.head, 0);
	shelf_move(&moved, &reds);
	shelf_move(&moved, &blues);
}

SEC("struct_ops/dispatch")
void dispatch(u64 *ctx)
{
	struct red __arena *r = (struct red __arena *)shelf_get(&reds);
	struct blue __arena *b = (struct blue __arena *)shelf_get(&blues);
	u64 m = shelf_get(&moved);

	if (r) {
		r->nr++;
		r->partner = m;
	}
	if (b) {
		b->nr++;
		b->seen = shelf_get(&by_kind[1]);
		if (b->cpu && b->owner)
			((struct red __arena *)b->owner)->weight++;
	}
}
SCHED(.init_task = (void *)init_task, .enqueue = (void *)enqueue, .dispatch = (void *)dispatch);
