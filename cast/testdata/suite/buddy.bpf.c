// SPDX-License-Identifier: GPL-2.0
/* A buddy allocator: blocks know each other by number, chunks by pointers. */
#include "suite.h"
ARENA_MAP;
#define ORDERS 6

struct block {
	u32 prev;
	u32 next;
};
struct buddy_chunk {
	struct buddy_chunk __arena *prev;
	u64 free_heads[ORDERS]; /* truth: buddy_chunk.free_heads[] number */
	struct block blocks[64];
	u8 order[64];
};
struct buddy {
	struct buddy_chunk __arena *chunk;
	u64 nr; /* truth: buddy.nr number */
	u32 lock;
};
struct profile {
	u64 hist[16]; /* truth: profile.hist[] number */
	u32 pid;
	u16 cpu;
	struct profile __arena *next;
};
struct buddy buddy;
struct profile __arena *profiles;

static __noinline int chunk_add(struct buddy *b)
{
	struct buddy_chunk __arena *c = bpf_arena_alloc_pages(&arena, NULL, 16, -1, 0);

	if (!c)
		return -1;
	c->prev = b->chunk;
	for_times(i, ORDERS)
		c->free_heads[i] = ~0ULL;
	c->order[0] = ORDERS - 1;
	b->chunk = c;
	return 0;
}

__weak u64 buddy_alloc(u32 order)
{
	struct buddy_chunk __arena *c = buddy.chunk;

	for_times(i, 8) {
		u64 head;

		if (!c)
			break;
		head = c->free_heads[order < ORDERS ? order : 0];
		if (head < 64) {
			c->free_heads[order < ORDERS ? order : 0] = c->blocks[head].next;
			c->order[head] = order;
			buddy.nr++;
			return (u64)c + 4096 + head * 64;
		}
		c = c->prev;
	}
	chunk_add(&buddy);
	return 0;
}

__weak int buddy_free(u64 addr)
{
	struct buddy_chunk __arena *c = (struct buddy_chunk __arena *)(addr & ~0xffffULL);
	u32 at = (addr & 0xffff) / 64 - 64;

	if (!addr || at >= 64)
		return -1;
	c->blocks[at].next = c->free_heads[c->order[at] < ORDERS ? c->order[at] : 0];
	c->free_heads[c->order[at] < ORDERS ? c->order[at] : 0] = at;
	buddy.nr--;
	return 0;
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct profile __arena *f = (struct profile __arena *)buddy_alloc(2);

	if (!f)
		return;
	f->pid = p->pid;
	f->cpu = bpf_get_smp_processor_id();
	f->hist[p->pid & 15]++;
	f->next = profiles;
	profiles = f;
	if (f->next && f->next->cpu == f->cpu) {
		profiles = f->next;
		buddy_free((u64)f);
	}
}
SCHED(.enqueue = (void *)enqueue);
