// SPDX-License-Identifier: GPL-2.0
/* The scheduler that is linked with lib_store: the pointers that the library keeps
 * lead to its struct job. */
#include "lib_store.h"

struct job {
	u64 vtime;
	u32 weight;
	u32 pid;
	struct job __arena *waker;
	struct rank __arena *rank;
};

struct rank {
	u32 id;
	u32 nr;
	u64 load;
	struct job __arena *last;
};

struct rank __arena *ranks[4];

static struct job __arena *job_of(struct task_struct *p)
{
	return store_of(p, sizeof(struct job));
}

__weak int job_account(struct job __arena *j __arg_arena, struct rank __arena *r __arg_arena)
{
	if (!j || !r)
		return -1;
	j->rank = r;
	r->last = j;
	r->load += j->weight;
	r->nr++;
	return 0;
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct job __arena *j = job_of(p), *w;
	struct rank __arena *r = ranks[p->pid & 3];

	if (!j)
		return;
	j->pid = p->pid;
	w = job_of(bpf_get_current_task_btf());
	j->waker = w;
	if (!r) {
		r = (struct rank __arena *)store_alloc(sizeof(*r));
		ranks[p->pid & 3] = r;
	}
	job_account(j, r);
	if (j->waker)
		j->waker->vtime++;
}

SCHED(.enqueue = (void *)enqueue);
