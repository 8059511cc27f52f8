// SPDX-License-Identifier: GPL-2.0
/* Words that are a size, an id or a time while an object is in use, and a link or
 * an owner while it is not; messages whose payload is a number or a pointer by
 * their kind. */
#include "suite.h"
ARENA_MAP;

struct blk {
	u64 word; /* truth: blk.word different */
	u64 owner; /* truth: blk.owner -> struct user (arena) */
	u32 kind;
	u32 nr;
};
struct user {
	u64 id; /* truth: user.id number */
	u64 blocks; /* truth: user.blocks -> struct blk (arena) */
	u64 quota; /* truth: user.quota number */
	u32 pid;
};
struct msg {
	u64 payload; /* truth: msg.payload different */
	u64 next; /* truth: msg.next -> struct msg (arena) */
	u32 kind;
	u32 seq;
};
struct box {
	u64 head; /* truth: box.head -> struct msg (arena) */
	u64 last_payload; /* truth: box.last_payload different */
	u64 free; /* truth: box.free -> struct blk (arena) */
	u64 stamp; /* truth: box.stamp number */
};
struct blk __arena *typed_blk;
struct user __arena *typed_user;
struct msg __arena *typed_msg;
struct box boxes[16];

static struct blk __arena *blk_get(struct box *b, struct user __arena *u, u64 size)
{
	struct blk __arena *k = (struct blk __arena *)b->free;

	if (k)
		b->free = k->word;
	else
		k = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!k)
		return NULL;
	k->word = size;
	k->owner = (u64)u;
	k->nr++;
	return k;
}

static void blk_put(struct box *b, struct blk __arena *k)
{
	k->word = b->free;
	b->free = (u64)k;
}

static void post(struct box *b, u32 kind, u64 payload)
{
	struct msg __arena *m = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

	if (!m)
		return;
	m->kind = kind;
	m->payload = payload;
	m->next = b->head;
	b->head = (u64)m;
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct box *b = &boxes[p->pid & 15];
	struct user __arena *u = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	struct blk __arena *k;

	if (!u)
		return;
	u->id = p->pid * 0x100000001ULL;
	u->pid = p->pid;
	u->quota = 4096;
	k = blk_get(b, u, 128 + p->pid);
	if (!k)
		return;
	u->blocks = (u64)k;
	if (p->pid & 1)
		post(b, 1, (u64)u);
	else
		post(b, 2, bpf_ktime_get_ns());
}

SEC("struct_ops/dispatch")
void dispatch(u64 *ctx)
{
	struct box *b = &boxes[bpf_get_smp_processor_id() & 15];
	struct msg __arena *m = (struct msg __arena *)b->head;
	struct user __arena *u;
	struct blk __arena *k;

	if (!m)
		return;
	b->head = m->next;
	b->last_payload = m->payload;
	if (m->kind == 2) {
		b->stamp = m->payload;
		return;
	}
	u = (struct user __arena *)m->payload;
	k = (struct blk __arena *)u->blocks;
	if (k && k->word > u->quota) {
		u->quota -= k->word;
		blk_put(b, k);
	}
}
SCHED(.enqueue = (void *)enqueue, .dispatch = (void *)dispatch);
