// SPDX-License-Identifier: GPL-2.0
/* CPU masks that are exchanged between members of a map's value and a global array,
 * tasks kept by reference, and a context that a task's storage has as a number. */
#include "suite.h"
ARENA_MAP;

struct mask_pair {
	struct bpf_cpumask __kptr *cur;
	struct bpf_cpumask __kptr *next;
	struct task_struct __kptr *holder;
	u64 seq; /* truth: mask_pair.seq number */
};
struct dctx {
	u64 id; /* truth: dctx.id number */
	u64 parent; /* truth: dctx.parent -> struct dctx (arena) */
	u64 mask_word; /* truth: dctx.mask_word number */
	u32 nr;
	u32 cpu;
};
struct tref {
	u64 dctx; /* truth: tref.dctx -> struct dctx (arena) */
	u64 enq_at; /* truth: tref.enq_at number */
	u32 cpu;
};
SINGLE(pairs, struct mask_pair);
TASK_MAP(trefs, struct tref);
struct dctx __arena *root_dctx;
struct bpf_cpumask __kptr *spare_mask;

static int publish(struct mask_pair *m)
{
	struct bpf_cpumask *fresh = bpf_kptr_xchg(&m->next, NULL), *old;

	if (!fresh)
		fresh = bpf_cpumask_create();
	if (!fresh)
		return -1;
	bpf_cpumask_set_cpu(1, fresh);
	old = bpf_kptr_xchg(&m->cur, fresh);
	if (old)
		old = bpf_kptr_xchg(&m->next, old);
	if (old)
		old = bpf_kptr_xchg(&spare_mask, old);
	if (old)
		bpf_cpumask_release(old);
	m->seq++;
	return 0;
}

SEC("struct_ops/init_task")
int init_task(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0), *held;
	struct tref *r = bpf_task_storage_get(&trefs, p, NULL, 1);
	struct dctx __arena *d;
	struct mask_pair *m;
	u32 zero = 0;

	if (!r)
		return 1;
	m = bpf_map_lookup_elem(&pairs, &zero);
	if (!m || publish(m))
		return 1;
	held = bpf_task_from_pid(p->pid);
	if (held)
		held = bpf_kptr_xchg(&m->holder, held);
	if (held)
		bpf_task_release(held);
	d = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!d)
		return 1;
	d->id = (u64)p->pid << 32;
	d->mask_word = 1ULL << (p->pid & 63);
	d->parent = (u64)root_dctx;
	if (!root_dctx)
		root_dctx = d;
	r->dctx = (u64)d;
	return 0;
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct tref *r = bpf_task_storage_get(&trefs, p, NULL, 0);
	struct dctx __arena *d;

	if (!r)
		return;
	r->enq_at = bpf_ktime_get_ns();
	d = (struct dctx __arena *)r->dctx;
	for_times(i, 8) {
		if (!d)
			break;
		d->nr++;
		d = (struct dctx __arena *)d->parent;
	}
}
SCHED(.init_task = (void *)init_task, .enqueue = (void *)enqueue);
