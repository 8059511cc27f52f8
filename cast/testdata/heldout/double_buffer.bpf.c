// SPDX-License-Identifier: GPL-2.0
/* Statistics of two epochs that change places, masks of the arena's with them,
 * and a snapshot of who ran, by addresses. */
#include "scx.h"

#define HISTORY 16

LICENSE();
ARENA(128);

struct bitmask {
	u64 words[8];
};
DESCRIBE(bitmask);

struct epoch {
	u64 started; /* none epoch.started */
	u64 busy; /* truth epoch.busy -> struct bitmask (arena) */
	u64 idle; /* truth epoch.idle -> struct bitmask (arena) */
	u64 hist[HISTORY]; /* times */ /* none epoch.hist[] */
	u32 nr;
};
DESCRIBE(epoch);

struct recorder {
	u64 cur; /* truth recorder.cur -> struct epoch (arena) */
	u64 prev; /* truth recorder.prev -> struct epoch (arena) */
	ulong ran[HISTORY]; /* truth recorder.ran[] -> struct task_struct (kernel) */
	u64 at; /* none recorder.at */
	u64 reference; /* truth recorder.reference -> struct bitmask (arena) */
};

MAP(recorders, BPF_MAP_TYPE_PERCPU_ARRAY, 1, u32, struct recorder);

u64 nr_flips;

static __noinline u64 new_epoch(void)
{
	struct epoch __arena *e = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

	if (!e)
		return 0;
	e->busy = (u64)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	e->idle = (u64)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	e->started = bpf_ktime_get_ns();
	return (u64)e;
}

static __noinline int flip(struct recorder *r)
{
	u64 old = r->cur;
	struct epoch __arena *cur;
	struct bitmask __arena *mask;

	r->cur = r->prev;
	r->prev = old;
	if (!r->cur)
		r->cur = new_epoch();
	cur = (struct epoch __arena *)r->cur;
	if (!cur)
		return -12;
	old = cur->busy;
	cur->busy = cur->idle;
	cur->idle = old;
	mask = (struct bitmask __arena *)cur->idle;
	if (mask)
		mask->words[0] = ~0ULL;
	cur->nr = 0;
	cur->started = bpf_ktime_get_ns();
	r->reference = cur->busy;
	nr_flips++;
	return 0;
}

OP1(void, running, struct task_struct *, p)
{
	u32 zero = 0;
	struct recorder *r = bpf_map_lookup_elem(&recorders, &zero);
	struct bitmask __arena *mask;
	struct epoch __arena *e;
	u32 cpu = bpf_get_smp_processor_id();

	if (!r)
		return;
	e = (struct epoch __arena *)r->cur;
	if (!e || e->started + 4000000 < bpf_ktime_get_ns()) {
		flip(r);
		return;
	}
	r->ran[r->at++ % HISTORY] = (ulong)p;
	e->hist[e->nr++ % HISTORY] = bpf_ktime_get_ns();
	mask = (struct bitmask __arena *)e->busy;
	if (mask)
		mask->words[cpu >> 6 & 7] |= 1ULL << (cpu & 63);
	mask = (struct bitmask __arena *)r->reference;
	if (mask && mask->words[0] == 0)
		r->reference = 0;
}

OPS(DO(running), .name = "double_buffer");
