/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Loops by callbacks, whose context carries pointers in and out: the search for the least
 * loaded domain, the sum over a map's values, and a timer's sweep.
 */
#include "../heldout/scx.h"

ARENA(256);

struct dom {
	u64 load;
	u64 nr;
	u64 busiest;	/* truth dom.busiest -> struct tstat (arena) */
	u64 ids;
};

struct tstat {
	u64 dom;	/* truth tstat.dom -> struct dom (arena) */
	u64 task;	/* truth tstat.task -> struct task_struct (kernel) */
	u64 load;
};

u64 doms[16];	/* truth .bss.doms[] -> struct dom (arena) */
u32 nr_doms;

struct tslot {
	u64 stat;	/* truth tslot.stat -> struct tstat (arena) */
	u64 seen;
};
MAP(by_pid, BPF_MAP_TYPE_HASH, 65536, s32, struct tslot);

struct pick {
	u64 best;
	u64 from;
	u64 load;
};

static long pick_one(u32 i, void *arg)
{
	struct pick *k = arg;
	struct dom __arena *d;

	if (i >= 16)
		return 1;
	d = (struct dom __arena *)doms[i];
	if (!d || (u64)d == k->from)
		return 0;
	if (!k->best || d->load < k->load) {
		k->best = (u64)d;
		k->load = d->load;
	}
	return 0;
}

static __noinline u64 pick_dom(u64 from)
{
	struct pick k = { .from = from };

	if (from)
		k.load = ((struct dom __arena *)from)->load;
	bpf_loop(16, pick_one, &k, 0);
	return k.best ? k.best : from;
}

struct sweep {
	u64 dom;	/* truth sweep.dom -> struct dom (arena) */
	u64 top;	/* truth sweep.top -> struct tstat (arena) */
	u64 sum;
};

static long sweep_one(void *map, const s32 *pid, struct tslot *s, struct sweep *w)
{
	struct tstat __arena *t = (struct tstat __arena *)s->stat;

	if (!t || t->dom != w->dom)
		return 0;
	w->sum += t->load;
	if (!w->top || ((struct tstat __arena *)w->top)->load < t->load)
		w->top = (u64)t;
	return 0;
}

struct clock {
	struct bpf_timer timer;
	u64 next;	/* truth clock.next -> struct dom (arena) */
	u64 at;
};
MAP(clocks, BPF_MAP_TYPE_ARRAY, 1, u32, struct clock);

static int on_tick(void *map, u32 *key, struct clock *c)
{
	struct dom __arena *d = (struct dom __arena *)c->next;
	struct sweep w = { .dom = (u64)d };

	if (!d)
		return 0;
	bpf_for_each_map_elem(&by_pid, sweep_one, &w, 0);
	d->load = w.sum;
	d->busiest = w.top;
	c->at = (c->at + 1) & 15;
	c->next = doms[c->at & 15];
	bpf_timer_start(&c->timer, 1000000, 0);
	return 0;
}

OP2(s32, init_task, struct task_struct *, p, struct scx_init_task_args *, args)
{
	struct tstat __arena *t = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	struct tslot s = {};
	s32 pid = p->pid;

	if (!t)
		return -12;
	t->task = (u64)p;
	t->dom = pick_dom(0);
	s.stat = (u64)t;
	bpf_map_update_elem(&by_pid, &pid, &s, 0);
	return 0;
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	s32 pid = p->pid;
	struct tslot *s = bpf_map_lookup_elem(&by_pid, &pid);
	struct tstat __arena *t;

	if (!s || !s->stat)
		return;
	t = (struct tstat __arena *)s->stat;
	t->dom = pick_dom(t->dom);
	t->load += p->scx.slice;
	s->seen++;
}

OP0(s32, init)
{
	u32 zero = 0, i;
	struct clock *c = bpf_map_lookup_elem(&clocks, &zero);

	for (i = 0; i < 16 && can_loop(); i++)
		doms[i] = (u64)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!c)
		return -2;
	c->next = doms[0];
	bpf_timer_init(&c->timer, &clocks, 1);
	bpf_timer_set_callback(&c->timer, on_tick);
	return bpf_timer_start(&c->timer, 0, 0);
}

DESCRIBE(dom);
DESCRIBE(tstat);
OPS(DO(init_task), DO(enqueue), DO(init), .name = "callbacks_ctx");
LICENSE();
