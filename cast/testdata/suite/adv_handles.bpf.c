// SPDX-License-Identifier: GPL-2.0
/* Numbers that look like pointers: handles of an index and a generation, offsets
 * from the start of a region, hashes of addresses, tagged words, ids where a
 * node of another kind has its link. */
#include "suite.h"
ARENA_MAP;

struct session {
	u64 id; /* truth: session.id number */
	u64 hash; /* truth: session.hash number */
	u64 handle; /* truth: session.handle number */
	u64 peer; /* truth: session.peer -> struct session (arena) */
	u64 at; /* truth: session.at number */
	u32 pid;
	u32 nr;
};
struct bucket {
	u64 first; /* truth: bucket.first -> struct session (arena) */
	u64 count; /* truth: bucket.count number */
};
struct region {
	u64 base; /* truth: region.base different */
	u64 used; /* truth: region.used number */
	u64 last; /* truth: region.last number */
	struct bucket buckets[16];
};
struct tag_ctx {
	u64 word; /* truth: tag_ctx.word any */
	u64 offset; /* truth: tag_ctx.offset number */
	u64 handle; /* truth: tag_ctx.handle number */
	u64 cookie; /* truth: tag_ctx.cookie number */
};

TASK_MAP(tags, struct tag_ctx);
struct region region;
struct session __arena *typed_session;
u64 secret; /* truth: .bss.secret number */
u64 generations[64]; /* truth: .bss.generations[] number */

static __noinline u64 carve(u64 size)
{
	u64 at;

	if (!region.base)
		region.base = (u64)bpf_arena_alloc_pages(&arena, NULL, 4, -1, 0);
	if (!region.base || region.used + size > 4 * 4096)
		return 0;
	at = region.used;
	region.used += size;
	region.last = at;
	return at + 1;
}

static struct session __arena *session_at(u64 offset)
{
	return (struct session __arena *)(region.base + offset - 1);
}

SEC("struct_ops/init_task")
int init_task(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct tag_ctx *t = bpf_task_storage_get(&tags, p, NULL, 1);
	struct session __arena *s;
	struct bucket *b;
	u64 hash;

	if (!t)
		return 1;
	t->offset = carve(sizeof(struct session));
	if (!t->offset)
		return 1;
	s = session_at(t->offset);
	hash = ((u64)p ^ secret) * 0x9e3779b97f4a7c15ULL;
	b = &region.buckets[hash >> 60 & 15];
	s->id = p->pid;
	s->hash = hash;
	s->at = t->offset;
	s->pid = p->pid;
	s->peer = b->first;
	b->first = (u64)s;
	b->count++;
	s->handle = (++generations[p->pid & 63] << 32) | (t->offset / sizeof(struct session));
	t->handle = s->handle;
	t->cookie = (u64)p ^ secret;
	t->word = (u64)s | (p->pid & 1);
	return 0;
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct tag_ctx *t = bpf_task_storage_get(&tags, p, NULL, 0);
	struct session __arena *s, *peer;

	if (!t || !t->offset || (t->cookie ^ secret) != (u64)p)
		return;
	s = session_at(t->offset);
	if (s->handle != t->handle || s->handle >> 32 != generations[s->pid & 63])
		return;
	peer = (struct session __arena *)s->peer;
	if (peer && peer->hash != s->hash)
		peer->nr++;
	if (t->word & 1) {
		s = (struct session __arena *)(t->word & ~1ULL);
		s->nr++;
	}
}
SCHED(.init_task = (void *)init_task, .enqueue = (void *)enqueue);
