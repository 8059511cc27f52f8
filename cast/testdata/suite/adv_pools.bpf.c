// SPDX-License-Identifier: GPL-2.0
/* Free lists of words: of objects of two kinds by size, chained by a struct that only
 * local variables point to; and an inlined one of one kind, chained by its first word. */
#include "suite.h"
ARENA_MAP;

struct fobj {
	u64 next;
};
struct pool2 {
	u64 first; /* truth: pool2.first different */
	u64 slab; /* truth: pool2.slab different */
	u64 left; /* truth: pool2.left number */
	u64 nr; /* truth: pool2.nr number */
};
struct pend {
	u64 next; /* truth: pend.next -> struct pend (arena) */
	u64 when; /* truth: pend.when number */
	u32 pid;
	u32 nr;
	u64 ctl; /* truth: pend.ctl -> struct ctl (arena) */
};
struct ctl {
	u64 id; /* truth: ctl.id number */
	u64 pends; /* truth: ctl.pends -> struct pend (arena) */
	u64 budget; /* truth: ctl.budget number */
	u32 weight;
	u32 nr;
};
struct job2 {
	u64 cookie; /* truth: job2.cookie -> struct job2 (arena) */
	u64 ctl; /* truth: job2.ctl -> struct ctl (arena) */
	u64 slice; /* truth: job2.slice number */
};
struct slot2 {
	u64 job; /* truth: slot2.job -> struct job2 (arena) */
	u64 seen; /* truth: slot2.seen number */
};
struct pool2 pools[4];
u64 free_jobs; /* truth: .bss.free_jobs -> struct job2 (arena) */
u64 ctls[8]; /* truth: .bss.ctls[] -> struct ctl (arena) */
struct pend __arena *typed_pend;
struct ctl __arena *typed_ctl;
struct job2 __arena *typed_job;
TASK_MAP(slots2, struct slot2);

static __noinline u64 pool_take(u32 class)
{
	struct pool2 *p = &pools[class & 3];
	struct fobj __arena *o;
	u64 at;

	o = (void __arena *)p->first;
	if (o) {
		p->first = o->next;
		p->nr--;
		return (u64)o;
	}
	if (p->left < 64) {
		p->slab = (u64)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		p->left = p->slab ? 4096 : 0;
	}
	if (!p->left)
		return 0;
	at = p->slab + 4096 - p->left;
	p->left -= 64;
	return at;
}

static __noinline void pool_give(u32 class, u64 addr)
{
	struct fobj __arena *o;

	o = (void __arena *)addr;
	o->next = pools[class & 3].first;
	pools[class & 3].first = addr;
	pools[class & 3].nr++;
}

static u64 job_take(void)
{
	u64 job = free_jobs;

	if (job)
		free_jobs = *(u64 __arena *)job;
	else
		job = (u64)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	return job;
}

SEC("struct_ops/init_task")
int init_task(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct slot2 *s = bpf_task_storage_get(&slots2, p, NULL, 1);
	struct job2 __arena *j;
	struct ctl __arena *c;

	if (!s)
		return 1;
	c = (struct ctl __arena *)ctls[p->pid & 7];
	if (!c) {
		c = (struct ctl __arena *)pool_take(1);
		if (!c)
			return 1;
		c->id = p->pid;
		c->weight = 100;
		c->budget = 1000;
		ctls[p->pid & 7] = (u64)c;
	}
	j = (struct job2 __arena *)job_take();
	if (!j)
		return 1;
	j->ctl = (u64)c;
	j->slice = 5;
	s->job = (u64)j;
	return 0;
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct slot2 *s = bpf_task_storage_get(&slots2, p, NULL, 0);
	struct pend __arena *e;
	struct job2 __arena *j;
	struct ctl __arena *c;

	if (!s || !s->job)
		return;
	s->seen = bpf_ktime_get_ns();
	j = (struct job2 __arena *)s->job;
	c = (struct ctl __arena *)j->ctl;
	e = (struct pend __arena *)pool_take(2);
	if (!e)
		return;
	e->when = s->seen + j->slice;
	e->pid = p->pid;
	e->ctl = j->ctl;
	e->next = c->pends;
	c->pends = (u64)e;
	c->nr++;
}

SEC("struct_ops/dispatch")
void dispatch(u64 *ctx)
{
	struct ctl __arena *c = (struct ctl __arena *)ctls[bpf_get_smp_processor_id() & 7];
	struct pend __arena *e;

	if (!c)
		return;
	e = (struct pend __arena *)c->pends;
	if (!e)
		return;
	c->pends = e->next;
	c->budget -= e->when;
	pool_give(2, (u64)e);
	if (!--c->nr) {
		ctls[bpf_get_smp_processor_id() & 7] = 0;
		pool_give(1, (u64)c);
	}
}

SEC("struct_ops/exit_task")
void exit_task(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct slot2 *s = bpf_task_storage_get(&slots2, p, NULL, 0);

	if (!s || !s->job)
		return;
	*(u64 __arena *)s->job = free_jobs;
	free_jobs = s->job;
	s->job = 0;
}
SCHED(.init_task = (void *)init_task, .enqueue = (void *)enqueue, .dispatch = (void *)dispatch);
