// SPDX-License-Identifier: GPL-2.0
/* The machine as a tree of levels with parent, children and a list of each level; walked
 * by callbacks of bpf_loop with their context, and by a timer. */
#include "suite.h"
ARENA_MAP;

enum { MACHINE, NODE, LLC, CORE, NR_LEVELS };
struct tdom {
	u64 parent; /* truth: tdom.parent -> struct tdom (arena) */
	u64 children[16]; /* truth: tdom.children[] -> struct tdom (arena) */
	u64 sibling; /* truth: tdom.sibling -> struct tdom (arena) */
	u64 mask; /* truth: tdom.mask number */
	u64 data; /* truth: tdom.data -> struct tload (arena) */
	u32 nr_children;
	u32 level;
};
struct tload {
	u64 avg; /* truth: tload.avg number */
	u64 sum; /* truth: tload.sum number */
	u32 nr;
};
struct pick {
	u64 from;
	u64 best;
	u64 best_load;
	u32 level;
	u32 looked;
};
struct bpf_timer {
	u64 opaque[2];
} __attribute__((aligned(8)));
struct balancer {
	struct bpf_timer timer;
	u64 root; /* truth: balancer.root -> struct tdom (arena) */
	u64 busiest; /* truth: balancer.busiest -> struct tdom (arena) */
	u64 rounds; /* truth: balancer.rounds number */
};
SINGLE(balancers, struct balancer);
u64 levels[NR_LEVELS]; /* truth: .bss.levels[] -> struct tdom (arena) */
u64 of_cpu[64]; /* truth: .bss.of_cpu[] -> struct tdom (arena) */
struct tdom __arena *typed_tdom;
struct tload __arena *typed_tload;

static __noinline u64 tdom_new(u64 parent, u64 mask)
{
	struct tdom __arena *d = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	struct tdom __arena *up = (struct tdom __arena *)parent;
	u32 n;

	if (!d)
		return 0;
	d->data = (u64)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	d->mask = mask;
	d->parent = parent;
	d->level = MACHINE;
	if (up) {
		n = up->nr_children++;
		up->children[n & 15] = (u64)d;
		d->level = up->level + 1;
		up->mask |= mask;
	}
	d->sibling = levels[d->level & 3];
	levels[d->level & 3] = (u64)d;
	return (u64)d;
}

static int look_at(u32 i, void *arg)
{
	struct pick *p = arg;
	struct tdom __arena *d = (struct tdom __arena *)p->from, *kid;
	struct tload __arena *l;

	if (!d || i >= d->nr_children)
		return 1;
	kid = (struct tdom __arena *)d->children[i & 15];
	if (!kid)
		return 0;
	l = (struct tload __arena *)kid->data;
	p->looked++;
	if (l && l->avg > p->best_load) {
		p->best_load = l->avg;
		p->best = (u64)kid;
	}
	return 0;
}

static __noinline u64 busiest_under(u64 from)
{
	struct pick p = { .from = from };

	for_times(i, NR_LEVELS) {
		p.best = 0;
		p.best_load = 0;
		bpf_loop(16, look_at, &p, 0);
		if (!p.best)
			break;
		p.from = p.best;
	}
	return p.from;
}

static int balance(void *map, u32 *key, struct balancer *b)
{
	struct tdom __arena *d;
	struct tload __arena *l;

	b->busiest = busiest_under(b->root);
	d = (struct tdom __arena *)b->busiest;
	for_times(i, NR_LEVELS) {
		if (!d)
			break;
		l = (struct tload __arena *)d->data;
		if (l)
			l->sum = l->avg * l->nr;
		d = (struct tdom __arena *)d->parent;
	}
	b->rounds++;
	bpf_timer_start(&b->timer, 1000000, 0);
	return 0;
}

SEC("struct_ops/init_task")
int init_task(u64 *ctx)
{
	struct balancer *b = LOOKUP(balancers);
	u64 node, llc;

	if (!b || b->root)
		return 0;
	b->root = tdom_new(0, 0);
	for_times(i, 4) {
		node = tdom_new(b->root, 1 << i);
		llc = tdom_new(node, 1 << i);
		of_cpu[i & 63] = tdom_new(llc, 1 << i);
	}
	bpf_timer_init(&b->timer, &balancers, 1);
	bpf_timer_set_callback(&b->timer, balance);
	bpf_timer_start(&b->timer, 1000000, 0);
	return 0;
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct tdom __arena *d = (struct tdom __arena *)of_cpu[bpf_get_smp_processor_id() & 63], *s;
	struct tload __arena *l;

	for_times(i, NR_LEVELS) {
		if (!d)
			break;
		l = (struct tload __arena *)d->data;
		if (l) {
			l->nr++;
			l->avg += l->sum >> 3;
		}
		s = (struct tdom __arena *)d->sibling;
		if (s && s->mask & 1)
			s->nr_children |= 0;
		d = (struct tdom __arena *)d->parent;
	}
}
SCHED(.init_task = (void *)init_task, .enqueue = (void *)enqueue);
