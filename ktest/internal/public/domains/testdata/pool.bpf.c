// SPDX-License-Identifier: GPL-2.0
/* The library unit: an allocator of blocks in the arena, with a list of free ones. */
#include "bpf.h"

struct pool pool;
static u64 hits; /* allocations that took a block that was free; main.bpf.c has hits, too */
static u64 misses;
__hidden struct bpf_spin_lock pool_lock SEC(".data.POOL_LOCK");

__weak int pool_init(u32 blocks)
{
	u32 pages = ((u64)blocks * BLOCK + 4095) / 4096;
	u64 begin;

	if (pool.begin || !pages || pages > 256)
		return -1;
	begin = (u64)bpf_arena_alloc_pages(&arena, NULL, pages, -1, 0);
	if (!begin)
		return -12; /* ENOMEM */
	pool.next = begin;
	pool.end = begin + (u64)pages * 4096;
	pool.begin = begin;
	return 0;
}

__weak u64 pool_begin(void)
{
	return pool.begin;
}

__weak u64 pool_alloc(u32 size)
{
	struct block __arena *b;
	u64 at = 0;

	use_arena();
	if (size > BLOCK)
		return 0;
	bpf_spin_lock(&pool_lock);
	b = pool.free;
	if (b) {
		pool.free = b->next;
		at = (u64)b;
		hits++;
	} else if (pool.next < pool.end) {
		at = pool.next;
		pool.next += BLOCK;
	} else {
		misses++;
	}
	if (at)
		pool.nr_used++;
	bpf_spin_unlock(&pool_lock);
	return at;
}

__weak int pool_free(u64 block)
{
	struct block __arena *b = (struct block __arena *)block;

	use_arena();
	if (!block)
		return 0;
	bpf_spin_lock(&pool_lock);
	b->next = pool.free;
	pool.free = b;
	pool.nr_used--;
	bpf_spin_unlock(&pool_lock);
	return 0;
}
