// SPDX-License-Identifier: GPL-2.0
/* Two kinds of nodes with the same first members, of which BTF has one: what only
 * local variables point to, clang leaves out. */
#include "suite.h"
ARENA_MAP;

struct enode {
	u64 next; /* truth: enode.next -> struct enode (arena) */
	u64 key; /* truth: enode.key number */
	u32 pid;
	u32 nr;
	u64 weight; /* truth: enode.weight number */
};
struct wnode {
	u64 next;
	u64 key;
	u32 pid;
	u32 nr;
	u64 waker;
	u64 since;
};
struct heads {
	u64 entries; /* truth: heads.entries -> struct enode (arena) */
	u64 waiters; /* truth: heads.waiters different */
	u64 nr; /* truth: heads.nr number */
};
struct enode __arena *typed_entry;
struct heads heads;

static void wait_add(u32 pid)
{
	struct wnode __arena *w;

	w = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!w)
		return;
	w->next = heads.waiters;
	w->key = bpf_ktime_get_ns();
	w->pid = pid;
	w->nr = 1;
	w->waker = bpf_get_smp_processor_id();
	heads.waiters = (u64)w;
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct enode __arena *e;

	wait_add(p->pid);
	e = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!e)
		return;
	e->key = bpf_ktime_get_ns();
	e->pid = p->pid;
	e->nr = 0;
	e->weight = p->pid + 1;
	e->next = heads.entries;
	heads.entries = (u64)e;
	heads.nr++;
}

SEC("struct_ops/dispatch")
void dispatch(u64 *ctx)
{
	struct enode __arena *e;
	struct wnode __arena *w;

	e = (void __arena *)heads.entries;
	if (e) {
		e->weight++;
		heads.entries = e->next;
	}
	w = (void __arena *)heads.waiters;
	if (w && w->key < bpf_ktime_get_ns()) {
		w->nr++;
		heads.waiters = w->next;
	}
}
SCHED(.enqueue = (void *)enqueue, .dispatch = (void *)dispatch);
