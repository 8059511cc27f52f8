// SPDX-License-Identifier: GPL-2.0
/* Lists of one kind, whose cells hold what each list is for: contexts in one, groups in
 * another, times in a third. What is taken out of one is kept elsewhere without a word
 * of its type. */
#include "suite.h"
ARENA_MAP;

struct lcell {
	u64 next; /* truth: lcell.next -> struct lcell (arena) */
	u64 payload; /* truth: lcell.payload different */
};
struct plist {
	u64 first; /* truth: plist.first -> struct lcell (arena) */
	u64 free; /* truth: plist.free -> struct lcell (arena) */
	u64 recent; /* truth: plist.recent different */
	u32 nr;
	u32 max;
};
struct grp {
	u64 quota; /* truth: grp.quota number */
	u64 last; /* truth: grp.last -> struct tsk (arena) */
	u32 id;
	u32 members;
};
struct tsk {
	u64 vruntime; /* truth: tsk.vruntime number */
	u64 grp; /* truth: tsk.grp -> struct grp (arena) */
	u64 waker; /* truth: tsk.waker -> struct tsk (arena) */
	u32 pid;
	u32 flags;
};
struct cpu_ctx {
	u64 current; /* truth: cpu_ctx.current -> struct tsk (arena) */
	u64 serving; /* truth: cpu_ctx.serving -> struct grp (arena) */
	u64 since; /* truth: cpu_ctx.since number */
};
struct plist tsks, grps, times;
struct cpu_ctx cpus[64];
struct lcell __arena *typed_cell;
struct grp __arena *typed_grp;
struct tsk __arena *typed_tsk;

static __noinline int plist_push(struct plist *l, u64 payload)
{
	struct lcell __arena *c = (struct lcell __arena *)l->free;

	if (c)
		l->free = c->next;
	else
		c = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!c)
		return -12;
	c->payload = payload;
	c->next = l->first;
	l->first = (u64)c;
	l->nr++;
	return 0;
}

static __noinline u64 plist_pop(struct plist *l)
{
	struct lcell __arena *c = (struct lcell __arena *)l->first;
	u64 payload;

	if (!c)
		return 0;
	payload = c->payload;
	l->first = c->next;
	c->next = l->free;
	l->free = (u64)c;
	l->recent = payload;
	l->nr--;
	return payload;
}

SEC("struct_ops/init_task")
int init_task(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct tsk __arena *t = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	struct grp __arena *g = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

	if (!t || !g)
		return -12;
	t->pid = p->pid;
	t->vruntime = bpf_ktime_get_ns();
	t->flags = 0;
	g->id = p->pid;
	g->quota = 1000;
	g->members = 1;
	plist_push(&tsks, (u64)t);
	plist_push(&grps, (u64)g);
	return plist_push(&times, bpf_ktime_get_ns());
}

SEC("struct_ops/dispatch")
void dispatch(u64 *ctx)
{
	struct cpu_ctx *c = &cpus[bpf_get_smp_processor_id() & 63];
	u64 t = plist_pop(&tsks);
	u64 g = plist_pop(&grps);

	if (!t || !g)
		return;
	((struct tsk __arena *)t)->waker = c->current;
	((struct tsk __arena *)t)->grp = g;
	((struct grp __arena *)g)->last = t;
	c->current = t;
	c->serving = g;
	c->since = plist_pop(&times);
}
SCHED(.init_task = (void *)init_task, .dispatch = (void *)dispatch);
