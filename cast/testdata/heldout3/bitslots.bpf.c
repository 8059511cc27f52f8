/* SPDX-License-Identifier: GPL-2.0 */
/* An allocator that hands out the slots of an array by a bitmap: its caller says
 * the size. An owner's two kinds of objects have an arena of slots each. */
#include "scx.h"

#define WORDS 16

ARENA_MAP(arena);

struct slots {
	u64 map[WORDS];
	u64 base; /* truth: slots.base different */
	u64 size;
	struct slots __arena *next;
	u64 last; /* truth: slots.last different */
};

typedef struct slots __arena slots_t;

struct wake {
	u64 when;
	struct edge __arena *edge;
	u64 slots; /* truth: wake.slots -> struct slots (arena) */
};

struct edge {
	u64 count;
	struct wake __arena *first;
	u64 to; /* truth: edge.to -> struct edge (arena) */
	union {
		u64 raw; /* truth: edge.raw any */
		struct slots __arena *home;
	};
};

struct graph {
	slots_t *wakes;
	slots_t *edges;
	u64 root; /* truth: graph.root -> struct edge (arena) */
};

struct graph graph;
struct graph old_graph;
slots_t *all_slots;
u64 recent[8]; /* truth: .bss.recent[] -> struct wake (arena) */

static int first_zero(u64 word)
{
	int n = 0;

	word = ~word;
	word &= -word;
	for (int shift = 32; shift; shift /= 2)
		if (word >> shift) {
			word >>= shift;
			n += shift;
		}
	return n;
}

__noinline u64 slot_get(slots_t *s __arg_arena)
{
	u32 bit;

	for (u32 i = 0; i < WORDS; i++) {
		if (s->map[i] == ~0ull)
			continue;
		bit = first_zero(s->map[i]);
		s->map[i] |= 1ull << bit;
		s->last = s->base + (i * 64 + bit) * s->size;
		return s->last;
	}
	return 0;
}

__noinline int slot_put(slots_t *s __arg_arena, u64 addr)
{
	u64 i = (addr - s->base) / s->size;

	if (i >= WORDS * 64)
		return -EINVAL;
	s->map[i / 64 & (WORDS - 1)] &= ~(1ull << (i & 63));
	return 0;
}

static slots_t *slots_new(u64 size)
{
	slots_t *s = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

	if (!s)
		return NULL;
	s->base = (u64)bpf_arena_alloc_pages(&arena, NULL, size * WORDS * 64 / PAGE, -1, 0);
	s->size = size;
	s->next = all_slots;
	all_slots = s;
	return s;
}

static __noinline void connect(struct wake __arena *w, struct edge __arena *e)
{
	w->edge = e;
	w->slots = (u64)graph.wakes;
	e->count++;
	e->first = w;
	e->home = graph.edges;
	e->to = graph.root;
}

SEC("struct_ops/bitslots_enqueue")
int bitslots_enqueue(u64 *ctx)
{
	struct wake __arena *w;
	struct edge __arena *e;

	if (!graph.wakes || !graph.edges)
		return 0;
	w = (struct wake __arena *)slot_get(graph.wakes);
	e = (struct edge __arena *)slot_get(graph.edges);
	if (!w || !e)
		return -ENOMEM;
	w->when = bpf_ktime_get_ns();
	connect(w, e);
	graph.root = (u64)e;
	recent[w->when & 7] = (u64)w;
	return 0;
}

SEC("struct_ops/bitslots_dispatch")
int bitslots_dispatch(u64 *ctx)
{
	struct edge __arena *e = (struct edge __arena *)graph.root, *to;
	struct wake __arena *w = (struct wake __arena *)recent[ARG(ctx, 0) & 7];
	slots_t *s = all_slots;
	int words = 0;

	for (u32 i = 0; i < 4 && s; i++, s = s->next)
		words += s->map[0] != 0;
	if (!e)
		return words;
	old_graph = graph;
	to = (struct edge __arena *)e->to;
	graph.root = (u64)to;
	if (to && to->first)
		to->first->when++;
	if (w && w->edge == e) {
		recent[ARG(ctx, 0) & 7] = 0;
		slot_put((slots_t *)w->slots, (u64)w);
	}
	slot_put(e->home, (u64)e);
	return words;
}

SEC("syscall")
int bitslots_init(void *ctx)
{
	graph.wakes = slots_new(sizeof(struct wake));
	graph.edges = slots_new(sizeof(struct edge));
	return graph.wakes && graph.edges ? 0 : -ENOMEM;
}

SEC(".struct_ops.link")
struct test_ops bitslots_ops = {
	.enqueue = (void *)bitslots_enqueue,
	.dispatch = (void *)bitslots_dispatch,
};
