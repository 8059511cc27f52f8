// SPDX-License-Identifier: GPL-2.0
/* Rings of kernel tasks and of contexts, by position, and a handshake between
 * CPUs that passes a context through an exchange. */
#include "suite.h"
ARENA_MAP;

struct rr_ctx {
	u64 slice; /* truth: rr_ctx.slice number */
	u64 task; /* truth: rr_ctx.task -> struct task_struct (kernel) */
	u32 cpu;
	struct mailbox __arena *box;
};
struct mailbox {
	u64 sent; /* truth: mailbox.sent number */
	struct rr_ctx __arena *letter;
	u32 from;
};
struct rr_ring {
	u64 head; /* truth: rr_ring.head number */
	u64 tasks[16]; /* truth: rr_ring.tasks[] -> struct task_struct (kernel) */
	struct rr_ctx __arena *ctxs[16];
	u64 times[16]; /* truth: rr_ring.times[] number */
};
struct rr_ring ring;
struct mailbox __arena boxes[16];

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct rr_ctx __arena *r = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0), *old;
	u32 cpu = bpf_get_smp_processor_id() & 15;
	u64 at = __sync_fetch_and_add(&ring.head, 1) & 15;

	if (!r)
		return;
	r->task = (u64)p;
	r->slice = p->start_time;
	r->cpu = cpu;
	r->box = &boxes[cpu];
	ring.tasks[at] = (u64)p;
	ring.ctxs[at] = r;
	ring.times[at] = bpf_ktime_get_ns();
	old = __sync_lock_test_and_set(&boxes[(cpu + 1) & 15].letter, r);
	if (old)
		old->slice++;
}

SEC("struct_ops/dispatch")
void dispatch(u64 *ctx)
{
	u32 cpu = bpf_get_smp_processor_id() & 15;
	struct rr_ctx __arena *r = __sync_lock_test_and_set(&boxes[cpu].letter, NULL);

	if (!r)
		r = ring.ctxs[ring.head & 15];
	if (!r || !r->box)
		return;
	r->box->sent++;
	r->box->from = cpu;
}
SCHED(.enqueue = (void *)enqueue, .dispatch = (void *)dispatch);
