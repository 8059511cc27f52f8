// SPDX-License-Identifier: GPL-2.0
/* A scheduler with its data of tasks from the library. */
#include "tdata.h"

struct tjob {
	u64 vtime; /* truth: tjob.vtime number */
	u64 waker; /* truth: tjob.waker -> struct tjob (arena) */
	u64 q; /* truth: tjob.q -> struct tq (arena) */
	u32 pid;
	u32 weight;
};
struct tq {
	u64 min_vtime; /* truth: tq.min_vtime number */
	u64 last; /* truth: tq.last -> struct tjob (arena) */
	u32 nr;
};
u64 tqs[8]; /* truth: .bss.tqs[] -> struct tq (arena) */
struct tjob __arena *typed_tjob;
struct tq __arena *typed_tq;

SEC("struct_ops/init_task")
int init_task(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct tjob __arena *j = (struct tjob __arena *)td_task_alloc(p);

	if (!j)
		return -12;
	j->pid = p->pid;
	j->weight = 100;
	if (!tqs[p->pid & 7])
		tqs[p->pid & 7] = td_page();
	j->q = tqs[p->pid & 7];
	return 0;
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct tjob __arena *j = (struct tjob __arena *)td_task_data(p), *w, *last;
	struct tq __arena *q;

	if (!j)
		return;
	w = (struct tjob __arena *)td_task_data(bpf_get_current_task_btf());
	j->waker = (u64)w;
	q = (struct tq __arena *)j->q;
	if (!q)
		return;
	last = (struct tjob __arena *)q->last;
	if (last && last->vtime > j->vtime)
		j->vtime = last->vtime;
	if (j->vtime < q->min_vtime)
		j->vtime = q->min_vtime;
	q->last = (u64)j;
	q->nr++;
	if (j->waker)
		((struct tjob __arena *)j->waker)->weight++;
}

SEC("struct_ops/dispatch")
void dispatch(u64 *ctx)
{
	td_task_free(bpf_get_current_task_btf());
}
SCHED(.init_task = (void *)init_task, .enqueue = (void *)enqueue, .dispatch = (void *)dispatch);
