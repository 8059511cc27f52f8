// SPDX-License-Identifier: GPL-2.0
/* Structs on the stack whose addresses functions are passed. */
#include "../suite/suite.h"
ARENA_MAP;

struct node {
	u64 next; /* holds node.next -> struct node (arena, proven) */
	u64 weight;
	u32 nr;
};

/* What a callback is passed, and moves on. */
struct walk {
	u64 at; /* holds walk.at -> struct node (arena, likely) */
	u64 heaviest; /* holds walk.heaviest -> struct node (arena, likely) */
	u64 weight;
};

/* What a function fills in: what is there before is whatever the stack held. */
struct answer {
	u64 count;
	u64 task; /* holds answer.task -> struct task_struct (kernel, likely) */
};

/* One member, of which each of two functions makes its own. */
struct either {
	u64 what; /* holds conflict either.what */
	u64 nr;
};

/* Of a packet, the type that programs see is none that memory has. */
struct given {
	u64 who; /* holds conflict given.who */
	u64 nr;
};

struct __sk_buff {
	u32 len;
};

struct node __arena *first;
u64 total;

static long step(u32 i, struct walk *w)
{
	struct node __arena *n = (struct node __arena *)w->at;

	if (!n)
		return 1;
	if (n->weight > w->weight) {
		w->weight = n->weight;
		w->heaviest = (u64)n;
	}
	w->at = n->next;
	return 0;
}

static __noinline int answer(struct answer *a, struct task_struct *p)
{
	a->count = 1;
	a->task = (u64)p;
	return 0;
}

static __noinline int count_node(struct either *e)
{
	e->nr += ((struct node __arena *)e->what)->nr;
	return 0;
}

static __noinline int count_task(struct either *e)
{
	e->nr += ((struct task_struct *)e->what)->pid;
	return 0;
}

static __noinline int count_given(struct given *g)
{
	if (g->who)
		g->nr++;
	return 0;
}

SEC("tc")
int packet(struct __sk_buff *skb)
{
	struct given g = { .who = (u64)skb };

	count_given(&g);
	return g.nr + skb->len;
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct node __arena *n = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	struct walk w = {};
	struct answer a;
	struct either e = {};
	struct given g = { .who = (u64)p };

	if (!n)
		return;
	n->weight = bpf_get_smp_processor_id();
	n->nr = 1;
	n->next = (u64)first;
	first = n;
	w.at = (u64)n;
	bpf_loop(64, step, &w, 0);
	if (w.heaviest)
		((struct node __arena *)w.heaviest)->nr++;
	answer(&a, p);
	total += a.count;
	e.what = (u64)n;
	count_node(&e);
	e.what = (u64)p;
	count_task(&e);
	count_given(&g);
	total += g.nr;
	total += e.nr;
}
SCHED(.enqueue = (void *)enqueue);
