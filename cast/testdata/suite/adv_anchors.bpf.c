// SPDX-License-Identifier: GPL-2.0
/* Things that begin with an anchor of a list or with a lock: what takes those gets
 * the address of the first member, which is the address of the whole, too. */
#include "suite.h"
ARENA_MAP;

struct anchor {
	u64 succ; /* truth: anchor.succ -> struct anchor (arena) */
	u64 pred; /* truth: anchor.pred -> struct anchor (arena) */
};
struct chain {
	u64 head; /* truth: chain.head -> struct anchor (arena) */
	u32 held;
	u32 nr;
};
struct waiter {
	u64 behind; /* truth: waiter.behind -> struct waiter (arena) */
	u32 go;
	u32 cpu;
};
struct gate {
	u64 rear; /* truth: gate.rear -> struct waiter (arena) */
	u64 passed; /* truth: gate.passed number */
};
struct client {
	struct anchor anchor;
	u64 vtime; /* truth: client.vtime number */
	u64 server; /* truth: client.server -> struct server (arena) */
	u32 pid;
};
struct server {
	struct anchor anchor;
	u64 since; /* truth: server.since number */
	u64 serves; /* truth: server.serves -> struct client (arena) */
	u32 cpu;
};
struct domain {
	struct gate gate;
	u64 load; /* truth: domain.load number */
	u64 stamp; /* truth: domain.stamp number */
};
struct zone {
	struct gate gate;
	u64 picks; /* truth: zone.picks number */
};
struct domain __arena *typed_domain;
struct zone __arena *typed_zone;
struct waiter waiters[64];
struct domains {
	u64 waiting; /* truth: domains.waiting -> struct chain (arena) */
	u64 idle; /* truth: domains.idle -> struct chain (arena) */
	u64 unused; /* truth: domains.unused -> struct chain (arena) */
} by_node[2];
u64 servers[16]; /* truth: .bss.servers[] -> struct server (arena) */
u64 zones[4]; /* truth: .bss.zones[] -> struct zone (arena) */
u64 domains[4]; /* truth: .bss.domains[] -> struct domain (arena) */

__attribute__((weak)) int chain_add(struct chain __arena *c, struct anchor __arena *a)
{
	struct anchor __arena *head;

	if (!c || !a || c->held)
		return -1;
	head = (struct anchor __arena *)c->head;
	a->pred = 0;
	a->succ = (u64)head;
	if (head)
		head->pred = (u64)a;
	c->head = (u64)a;
	c->nr++;
	return 0;
}

__attribute__((weak)) struct anchor __arena *chain_take(struct chain __arena *c)
{
	struct anchor __arena *a;

	if (!c || c->held)
		return NULL;
	a = (struct anchor __arena *)c->head;
	if (a) {
		c->head = a->succ;
		c->nr--;
	}
	return a;
}

static __noinline void gate_enter(struct gate __arena *g, struct waiter *w)
{
	struct waiter *before = (struct waiter *)g->rear;

	w->go = 0;
	g->rear = (u64)w;
	g->passed++;
	if (before)
		before->behind = (u64)w;
	else
		w->go = 1;
}

static __noinline void gate_leave(struct gate __arena *g, struct waiter *w)
{
	struct waiter *next = (struct waiter *)w->behind;

	if (next)
		next->go = 1;
	else
		g->rear = 0;
}

static __noinline int serve(struct client __arena *c, struct server __arena *s)
{
	c->server = (u64)s;
	s->serves = (u64)c;
	s->since = 0;
	return s->cpu;
}

SEC("struct_ops/init_task")
void init_task(u64 *ctx)
{
	struct server __arena *s;

	for_times(i, 2) {
		by_node[i].waiting = (u64)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		by_node[i].idle = (u64)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		by_node[i].unused = (u64)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	}
	for_times(i, 4)
		zones[i] = (u64)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	for_times(i, 4)
		domains[i] = (u64)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	for_times(i, 16) {
		s = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!s)
			return;
		s->cpu = i;
		s->since = bpf_ktime_get_ns();
		servers[i] = (u64)s;
		chain_add((struct chain __arena *)by_node[i & 1].idle, &s->anchor);
	}
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct domains *n = &by_node[p->pid & 1];
	struct client __arena *c = (struct client __arena *)chain_take((struct chain __arena *)n->unused);
	struct server __arena *s;

	if (!c)
		c = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!c)
		return;
	c->pid = p->pid;
	c->vtime = bpf_ktime_get_ns();
	s = (struct server __arena *)chain_take((struct chain __arena *)n->idle);
	if (s)
		serve(c, s);
	else
		chain_add((struct chain __arena *)n->waiting, &c->anchor);
}

static __noinline void pick(u32 cpu)
{
	struct zone __arena *z = (struct zone __arena *)zones[cpu & 3];
	struct gate __arena *g;

	if (!z)
		return;
	g = &z->gate;
	gate_enter(g, &waiters[cpu & 63]);
	gate_leave(g, &waiters[cpu & 63]);
}

SEC("struct_ops/dispatch")
void dispatch(u64 *ctx)
{
	u32 cpu = bpf_get_smp_processor_id();
	struct domain __arena *d = (struct domain __arena *)domains[(cpu >> 2) & 3];
	struct server __arena *s = (struct server __arena *)servers[cpu & 15];
	struct domains *n = &by_node[cpu & 1];
	struct client __arena *c;

	if (!d || !s)
		return;
	gate_enter(&d->gate, &waiters[cpu & 63]);
	c = (struct client __arena *)s->serves;
	if (c) {
		c->server = 0;
		chain_add((struct chain __arena *)n->unused, &c->anchor);
	}
	c = (struct client __arena *)chain_take((struct chain __arena *)n->waiting);
	if (c) {
		serve(c, s);
	} else {
		s->serves = 0;
		chain_add((struct chain __arena *)n->idle, &s->anchor);
	}
	gate_leave(&d->gate, &waiters[cpu & 63]);
	pick(cpu);
}

SCHED(.init_task = (void *)init_task, .enqueue = (void *)enqueue, .dispatch = (void *)dispatch);
