// SPDX-License-Identifier: GPL-2.0
/* Functions whose arguments the compiler drops, or passes as what they point to:
 * their prototypes do not say what the registers hold. */
#include "suite.h"
ARENA_MAP;

struct ring_ctl {
	u64 head; /* truth: ring_ctl.head number */
	u64 tail; /* truth: ring_ctl.tail number */
	struct ev __arena *last;
};
struct ev {
	u64 stamp; /* truth: ev.stamp number */
	u32 pid;
	u32 kind;
	struct ev __arena *prev;
};
struct ring_ctl ctl;
u64 longest; /* truth: .bss.longest number */
u64 recent[4]; /* truth: .bss.recent[] -> struct ev (arena) */
u64 stamps[4]; /* truth: .bss.stamps[] number */

static __noinline void note(struct ring_ctl *c, struct ev __arena *e, u64 stamp)
{
	c->last = e;
	c->head++;
	stamps[c->head & 3] = stamp;
}

static __noinline u64 age(struct ev __arena *e, u64 now)
{
	return now - e->stamp > 10 ? now - e->stamp : 10;
}

static __noinline void keep(struct ring_ctl *c, u64 what)
{
	recent[c->tail++ & 3] = what;
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct ev __arena *e = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	u64 a;

	if (!e)
		return;
	e->stamp = bpf_ktime_get_ns();
	e->pid = p->pid;
	e->kind = 2;
	e->prev = ctl.last;
	note(&ctl, e, e->stamp);
	keep(&ctl, (u64)e);
	a = age(e, bpf_ktime_get_ns());
	if (e->prev && age(e->prev, e->stamp) > a)
		longest = a;
}

SEC("struct_ops/dispatch")
void dispatch(u64 *ctx)
{
	struct ev __arena *e = (struct ev __arena *)recent[ctl.head & 3];

	if (e && e->kind == 2)
		e->pid++;
}
SCHED(.enqueue = (void *)enqueue, .dispatch = (void *)dispatch);
