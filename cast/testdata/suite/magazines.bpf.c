// SPDX-License-Identifier: GPL-2.0
/* Free lists of each CPU in a map's values, refilled by batches from a depot. */
#include "suite.h"
ARENA_MAP;

struct wakeup {
	u64 next; /* truth: wakeup.next -> struct wakeup (arena) */
	u64 stamp; /* truth: wakeup.stamp number */
	u64 from; /* truth: wakeup.from -> struct waker (arena) */
	u32 pid;
	u32 flags;
};
struct waker {
	u64 pending; /* truth: waker.pending -> struct wakeup (arena) */
	u64 nr_woken; /* truth: waker.nr_woken number */
	u32 pid;
};
struct magazine {
	u64 head; /* truth: magazine.head -> struct wakeup (arena) */
	u64 nr; /* truth: magazine.nr number */
	u64 misses; /* truth: magazine.misses number */
};
struct depot {
	u64 full[16]; /* truth: depot.full[] -> struct wakeup (arena) */
	u64 nr_full; /* truth: depot.nr_full number */
	u64 pages; /* truth: depot.pages number */
};
struct {
	__uint(type, PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct magazine);
} magazines SEC(".maps");
struct waker_val {
	u64 waker; /* truth: waker_val.waker -> struct waker (arena) */
};
TASK_MAP(wakers, struct waker_val);
struct depot depot;
struct wakeup __arena *typed_wakeup;
struct waker __arena *typed_waker;

static __noinline u64 depot_batch(void)
{
	u64 batch = 0;
	struct wakeup __arena *w;

	if (depot.nr_full) {
		depot.nr_full--;
		batch = depot.full[depot.nr_full & 15];
		depot.full[depot.nr_full & 15] = 0;
		return batch;
	}
	w = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!w)
		return 0;
	depot.pages++;
	for_times(i, 32) {
		w[i].next = batch;
		batch = (u64)&w[i];
	}
	return batch;
}

static struct wakeup __arena *wakeup_get(struct magazine *m)
{
	struct wakeup __arena *w;

	if (!m->head) {
		m->head = depot_batch();
		if (!m->head)
			return NULL;
		m->nr = 32;
		m->misses++;
	}
	w = (struct wakeup __arena *)m->head;
	m->head = w->next;
	m->nr--;
	return w;
}

static void wakeup_put(struct magazine *m, struct wakeup __arena *w)
{
	if (m->nr >= 64) {
		depot.full[depot.nr_full++ & 15] = m->head;
		m->head = 0;
		m->nr = 0;
	}
	w->next = m->head;
	m->head = (u64)w;
	m->nr++;
}

SEC("struct_ops/init_task")
int init_task(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct waker_val *v = bpf_task_storage_get(&wakers, p, NULL, 1);
	struct waker __arena *w = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

	if (!v || !w)
		return -12;
	w->pid = p->pid;
	w->nr_woken = 0;
	v->waker = (u64)w;
	return 0;
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct waker_val *v = bpf_task_storage_get(&wakers, bpf_get_current_task_btf(), NULL, 0);
	struct magazine *m = LOOKUP(magazines);
	struct waker __arena *by;
	struct wakeup __arena *w;

	if (!v || !v->waker || !m)
		return;
	w = wakeup_get(m);
	if (!w)
		return;
	by = (struct waker __arena *)v->waker;
	w->stamp = bpf_ktime_get_ns();
	w->pid = p->pid;
	w->from = v->waker;
	w->next = by->pending;
	by->pending = (u64)w;
	by->nr_woken++;
}

SEC("struct_ops/dispatch")
void dispatch(u64 *ctx)
{
	struct waker_val *v = bpf_task_storage_get(&wakers, bpf_get_current_task_btf(), NULL, 0);
	struct magazine *m = LOOKUP(magazines);
	struct waker __arena *by;
	struct wakeup __arena *w;

	if (!v || !v->waker || !m)
		return;
	by = (struct waker __arena *)v->waker;
	w = (struct wakeup __arena *)by->pending;
	if (!w)
		return;
	by->pending = w->next;
	((struct waker __arena *)w->from)->nr_woken--;
	wakeup_put(m, w);
}
SCHED(.init_task = (void *)init_task, .enqueue = (void *)enqueue, .dispatch = (void *)dispatch);
