// SPDX-License-Identifier: GPL-2.0
/* More lists than are told apart, of two kinds; allocations behind more calls than are
 * told apart; pages that begin with a header, and whose rest is carved by hand; memory
 * that changes its type when it is used again; values that go through a copy of the
 * map's value, and a call to the next program. */
#include "suite.h"
ARENA_MAP;

struct link4 {
	u64 next; /* truth: link4.next -> struct link4 (arena) */
	u64 held; /* truth: link4.held different */
};
struct stack4 {
	u64 top; /* truth: stack4.top -> struct link4 (arena) */
	u64 popped; /* truth: stack4.popped different */
	u64 nr; /* truth: stack4.nr number */
};
struct cat {
	u64 naps; /* truth: cat.naps number */
	u64 chases; /* truth: cat.chases any */
	u32 pid;
	u32 lives;
};
struct dog {
	u32 cpu;
	u32 barks;
	u64 walked; /* truth: dog.walked number */
	u64 prey; /* truth: dog.prey any */
	u64 twin; /* truth: dog.twin different */
};
struct pagehdr {
	u64 used; /* truth: pagehdr.used number */
	u64 next; /* truth: pagehdr.next -> struct pagehdr (arena) */
	u32 nr;
	u32 size;
};
struct yard {
	u64 page; /* truth: yard.page -> struct pagehdr (arena) */
	u64 body; /* truth: yard.body any */
	u64 newest; /* truth: yard.newest different */
	u64 reuse; /* truth: yard.reuse different */
};
struct pet_val {
	u64 pet; /* truth: pet_val.pet different */
	u64 cat; /* truth: pet_val.cat -> struct cat (arena) */
};
TASK_MAP(pets, struct pet_val);
struct {
	__uint(type, HASH);
	__uint(max_entries, 64);
	__type(key, u32);
	__type(value, struct pet_val);
} copies SEC(".maps");
struct yard yard;
struct link4 __arena *typed_link;
struct cat __arena *typed_cat;
struct dog __arena *typed_dog;
struct pagehdr __arena *typed_page;

#define EACH4(f, n) f(n##0) f(n##1) f(n##2) f(n##3)
#define EACH(f) EACH4(f, a) EACH4(f, b) EACH4(f, c) EACH4(f, d) EACH4(f, e) EACH4(f, g) EACH4(f, h) EACH4(f, i) EACH4(f, j) EACH4(f, k)
#define LISTS(n) struct stack4 cats_##n, dogs_##n;
EACH(LISTS)

static __noinline u64 get_page(u32 pages)
{
	return (u64)bpf_arena_alloc_pages(&arena, NULL, pages, -1, 0);
}

static __noinline u64 get_zeroed(u32 pages)
{
	u64 p = get_page(pages);

	return p ? p : 0;
}

static __noinline u64 get_counted(u32 pages)
{
	yard.reuse = 0;
	return get_zeroed(pages);
}

static __noinline int stack4_push(struct stack4 *s, u64 held)
{
	struct link4 __arena *l = (struct link4 __arena *)get_counted(1);

	if (!l)
		return -12;
	l->held = held;
	l->next = s->top;
	s->top = (u64)l;
	s->nr++;
	return 0;
}

static __noinline u64 stack4_pop(struct stack4 *s)
{
	struct link4 __arena *l = (struct link4 __arena *)s->top;
	u64 held;

	if (!l)
		return 0;
	held = l->held;
	s->top = l->next;
	s->popped = held;
	s->nr--;
	return held;
}

static __noinline u64 carve(struct yard *y, u64 size)
{
	struct pagehdr __arena *h = (struct pagehdr __arena *)y->page;
	u64 at;

	if (!h || h->used + size > 4096) {
		h = (struct pagehdr __arena *)get_counted(1);
		if (!h)
			return 0;
		h->next = y->page;
		h->used = sizeof(*h);
		h->size = 4096;
		y->page = (u64)h;
		y->body = (u64)(h + 1);
	}
	at = (u64)h + h->used;
	h->used += size;
	h->nr++;
	y->newest = at;
	return at;
}

#define PUSH(n) stack4_push(&cats_##n, (u64)c); stack4_push(&dogs_##n, (u64)d);

SEC("struct_ops/init_task")
int init_task(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct pet_val *v = bpf_task_storage_get(&pets, p, NULL, 1);
	struct cat __arena *c;
	struct dog __arena *d;
	u32 key = p->pid;

	c = (struct cat __arena *)carve(&yard, sizeof(*c));
	d = (struct dog __arena *)carve(&yard, sizeof(*d));
	if (!v || !c || !d)
		return -12;
	c->pid = p->pid;
	c->lives = 9;
	c->naps = bpf_ktime_get_ns();
	d->cpu = bpf_get_smp_processor_id();
	d->walked = bpf_ktime_get_ns();
	EACH(PUSH)
	v->pet = p->pid & 1 ? (u64)c : (u64)d;
	v->cat = (u64)c;
	bpf_map_update_elem(&copies, &key, v, 0);
	return 0;
}

#define POP(n) c = (struct cat __arena *)stack4_pop(&cats_##n); \
	d = (struct dog __arena *)stack4_pop(&dogs_##n); \
	if (c && d) { \
		c->lives--; \
		d->barks++; \
		c->chases = (u64)c; \
		d->prey = (u64)c; \
	}

SEC("struct_ops/dispatch")
void dispatch(u64 *ctx)
{
	struct cat __arena *c;
	struct dog __arena *d;

	EACH(POP)
	yard.reuse = stack4_pop(&cats_a0);
	if (!yard.reuse)
		yard.reuse = stack4_pop(&dogs_a0);
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	u32 key = p->pid;
	struct pet_val *v = bpf_map_lookup_elem(&copies, &key);
	struct dog __arena *d;
	struct cat __arena *c;

	if (!v)
		return;
	c = (struct cat __arena *)v->cat;
	if (c)
		c->naps++;
	/* What was a cat is a dog from now on. */
	d = (struct dog __arena *)yard.reuse;
	if (!d)
		return;
	d->cpu = 0;
	d->barks = 0;
	d->walked = 0;
	d->twin = v->pet;
}
SCHED(.init_task = (void *)init_task, .enqueue = (void *)enqueue, .dispatch = (void *)dispatch);
