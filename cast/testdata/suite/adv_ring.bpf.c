// SPDX-License-Identifier: GPL-2.0
/* Messages of several kinds in a ring: words that are a pointer or a number by the
 * kind, copied from place to place, and cast where the kind allows it. */
#include "suite.h"
ARENA_MAP;

struct peer {
	u64 credit; /* truth: peer.credit number */
	u64 inbox; /* truth: peer.inbox different */
	u32 pid;
	u32 nr;
};
struct note {
	u64 word; /* truth: note.word different */
	u32 kind;
	u32 cpu;
};
struct ring2 {
	u64 head; /* truth: ring2.head number */
	u64 tail; /* truth: ring2.tail number */
	struct note notes[32];
};
struct outbox {
	u64 pending; /* truth: outbox.pending different */
	u64 kind; /* truth: outbox.kind number */
	u64 last; /* truth: outbox.last -> struct peer (arena) */
};
struct peer __arena *typed_peer;
struct ring2 ring2;
TASK_MAP(outboxes, struct outbox);

static void send(u32 kind, u64 word)
{
	struct note *n = &ring2.notes[ring2.tail++ & 31];

	n->kind = kind;
	n->word = word;
	n->cpu = bpf_get_smp_processor_id();
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct outbox *o = bpf_task_storage_get(&outboxes, p, NULL, 1);
	struct peer __arena *peer;

	if (!o)
		return;
	if (o->kind == 1) {
		peer = (struct peer __arena *)o->pending;
		peer->credit++;
		peer->nr++;
		send(1, o->pending);
	} else {
		send(2, o->pending + 1);
	}
	peer = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!peer)
		return;
	peer->pid = p->pid;
	peer->nr = 0;
	o->last = (u64)peer;
	send(1, (u64)peer);
	send(2, bpf_ktime_get_ns());
}

SEC("struct_ops/dispatch")
void dispatch(u64 *ctx)
{
	struct task_struct *p = bpf_get_current_task_btf();
	struct outbox *o = bpf_task_storage_get(&outboxes, p, NULL, 0);
	struct note *n = &ring2.notes[ring2.head++ & 31];
	struct peer __arena *to;

	if (!o)
		return;
	o->kind = n->kind;
	o->pending = n->word;
	if (n->kind == 1) {
		to = (struct peer __arena *)n->word;
		to->credit--;
		to->inbox = n->word;
	}
	to = (struct peer __arena *)o->last;
	if (to)
		to->inbox = o->pending;
}
SCHED(.enqueue = (void *)enqueue, .dispatch = (void *)dispatch);
