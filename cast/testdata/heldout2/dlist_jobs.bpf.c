// SPDX-License-Identifier: GPL-2.0
/* Circular lists of links that are embedded at different offsets of jobs and workers. */
#include "../heldout/scx.h"

LICENSE();
ARENA(1024);

struct dlink {
	void __arena *fwd; /* truth dlink.fwd -> struct dlink (arena) */
	void __arena *back; /* truth dlink.back -> struct dlink (arena) */
};

struct job {
	u64 id; /* none job.id */
	u64 cookie; /* none job.cookie */
	struct dlink on_worker;
	struct dlink on_all;
	void __arena *worker; /* truth job.worker -> struct worker (arena) */
	s32 pid;
};

struct worker {
	struct dlink jobs;
	struct dlink idle;
	void __arena *current; /* truth worker.current -> struct job (arena) */
	u64 handle; /* index and generation */ /* none worker.handle */
	s32 cpu;
};

struct office {
	struct dlink all_jobs;
	struct dlink idle_workers;
	void __arena *desks[16]; /* truth office.desks[] -> struct worker (arena) */
	u64 next_id; /* none office.next_id */
};
DESCRIBE(job);

void __arena *the_office; /* truth .bss.the_office -> struct office (arena) */

MAP(job_of, BPF_MAP_TYPE_HASH, 4096, s32, u64); /* truth job_of -> struct job (arena) */

#define entry(l, T, m) container_of(l, T, m)

static __always_inline void dl_init(struct dlink __arena *l)
{
	l->fwd = l;
	l->back = l;
}

static __noinline void dl_add(struct dlink __arena *head, struct dlink __arena *l)
{
	struct dlink __arena *last = head->back;

	l->fwd = head;
	l->back = last;
	last->fwd = l;
	head->back = l;
}

static __noinline void dl_del(struct dlink __arena *l)
{
	struct dlink __arena *f = l->fwd, *b = l->back;

	f->back = b;
	b->fwd = f;
	dl_init(l);
}

static __always_inline bool dl_empty(struct dlink __arena *l)
{
	return l->fwd == (void __arena *)l;
}

static __noinline struct job __arena *worker_next(struct worker __arena *w)
{
	struct job __arena *j;

	if (dl_empty(&w->jobs))
		return NULL;
	j = entry(w->jobs.fwd, struct job, on_worker);
	dl_del(&j->on_worker);
	w->current = j;
	return j;
}

static __noinline struct worker __arena *pick_worker(struct office __arena *o, s32 cpu)
{
	struct worker __arena *w;

	if (!dl_empty(&o->idle_workers)) {
		w = entry(o->idle_workers.fwd, struct worker, idle);
		dl_del(&w->idle);
		return w;
	}
	return o->desks[cpu & 15];
}

static __noinline s32 oldest_pid(struct office __arena *o)
{
	struct dlink __arena *l;
	struct job __arena *j;

	for (l = o->all_jobs.fwd; l != &o->all_jobs && can_loop(); l = l->fwd) {
		j = entry(l, struct job, on_all);
		if (j->worker)
			return j->pid;
	}
	return -1;
}

OP0(s32, init)
{
	struct office __arena *o = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	struct worker __arena *w;
	int i;

	if (!o)
		return -12;
	dl_init(&o->all_jobs);
	dl_init(&o->idle_workers);
	for (i = 0; i < 16; i++) {
		w = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!w)
			return -12;
		w->cpu = i;
		w->handle = (u64)i | 0xabcd0000ULL;
		dl_init(&w->jobs);
		dl_init(&w->idle);
		dl_add(&o->idle_workers, &w->idle);
		o->desks[i] = w;
	}
	the_office = o;
	return 0;
}

OP2(s32, init_task, struct task_struct *, p, struct scx_init_task_args *, args)
{
	struct office __arena *o = the_office;
	struct job __arena *j = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	s32 pid = p->pid;
	u64 val = (u64)j;

	if (!j || !o)
		return -12;
	j->pid = pid;
	j->id = o->next_id++;
	j->cookie = p->start_time ^ j->id;
	dl_init(&j->on_worker);
	dl_add(&o->all_jobs, &j->on_all);
	return bpf_map_update_elem(&job_of, &pid, &val, 0);
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	struct office __arena *o = the_office;
	s32 pid = p->pid;
	u64 *found = bpf_map_lookup_elem(&job_of, &pid);
	struct worker __arena *w;
	struct job __arena *j;

	if (!found || !o)
		return;
	j = (struct job __arena *)*found;
	w = pick_worker(o, scx_bpf_task_cpu(p));
	if (!w)
		return;
	j->worker = w;
	dl_add(&w->jobs, &j->on_worker);
	scx_bpf_kick_cpu(w->cpu, 0);
}

OP2(void, dispatch, s32, cpu, struct task_struct *, prev)
{
	struct office __arena *o = the_office;
	struct worker __arena *w;
	struct job __arena *j;
	struct task_struct *p;

	if (!o)
		return;
	w = o->desks[cpu & 15];
	if (!w)
		return;
	j = worker_next(w);
	p = bpf_task_from_pid(j ? j->pid : oldest_pid(o));
	if (!p)
		return;
	scx_bpf_dsq_insert(p, SCX_DSQ_GLOBAL, SCX_SLICE_DFL, 0);
	bpf_task_release(p);
}

OP2(void, stopping, struct task_struct *, p, bool, runnable)
{
	s32 pid = p->pid;
	u64 *found = bpf_map_lookup_elem(&job_of, &pid);
	struct office __arena *o = the_office;
	struct worker __arena *w;
	struct job __arena *j;

	if (!found || !o)
		return;
	w = ((struct job __arena *)*found)->worker;
	if (!w)
		return;
	j = w->current;
	if (j && j->pid == pid)
		w->current = NULL;
	if (dl_empty(&w->jobs))
		dl_add(&o->idle_workers, &w->idle);
}

OPS(DO(init), DO(init_task), DO(enqueue), DO(dispatch), DO(stopping), .name = "dlist_jobs");
