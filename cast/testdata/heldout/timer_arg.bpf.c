// SPDX-License-Identifier: GPL-2.0
/* A timer of each domain: its map value carries what the callback works on. */
#include "scx.h"

LICENSE();
ARENA(64);

struct balance {
	u64 moved;
	u64 busiest; /* truth balance.busiest -> struct domain (arena) */
	u64 when; /* none balance.when */
};
DESCRIBE(balance);

struct domain {
	u64 load;
	u32 id;
	u32 nr_cpus;
	u64 next; /* truth domain.next -> struct domain (arena) */
	u64 balance; /* truth domain.balance -> struct balance (arena) */
};
DESCRIBE(domain);

struct dom_timer {
	struct bpf_timer timer;
	u64 dom; /* truth dom_timer.dom -> struct domain (arena) */
	u64 period; /* none dom_timer.period */
	u64 expires; /* none dom_timer.expires */
};

MAP(timers, BPF_MAP_TYPE_ARRAY, 4, u32, struct dom_timer);

u64 domains; /* truth .bss.domains -> struct domain (arena) */

static int fire(void *map, u32 *key, struct dom_timer *t)
{
	struct domain __arena *d = (struct domain __arena *)t->dom, *other, *busiest = NULL;
	struct balance __arena *b;
	u64 max = 0;

	if (!d)
		return 0;
	for (other = (struct domain __arena *)domains; other && can_loop(); other = (struct domain __arena *)other->next)
		if (other->load > max && other->id != d->id) {
			max = other->load;
			busiest = other;
		}
	b = (struct balance __arena *)d->balance;
	if (b) {
		b->busiest = (u64)busiest;
		b->when = bpf_ktime_get_ns();
		b->moved += max > d->load;
	}
	t->expires += t->period;
	bpf_timer_start(&t->timer, t->period, 0);
	return 0;
}

OP0(s32, init)
{
	struct dom_timer *t;
	struct domain __arena *d;
	u32 i;

	for (i = 0; i < 4; i++) {
		t = bpf_map_lookup_elem(&timers, &i);
		d = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!t || !d)
			return -12;
		d->id = i;
		d->nr_cpus = 4;
		d->next = domains;
		d->balance = (u64)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		domains = (u64)d;
		t->dom = (u64)d;
		t->period = 10000000ULL * (i + 1);
		t->expires = bpf_ktime_get_ns() + t->period;
		bpf_timer_init(&t->timer, &timers, 1);
		bpf_timer_set_callback(&t->timer, fire);
		bpf_timer_start(&t->timer, t->period, 0);
	}
	return 0;
}

OP1(void, stopping, struct task_struct *, p)
{
	struct domain __arena *d = (struct domain __arena *)domains;
	struct domain __arena *b;

	if (!d || !d->balance)
		return;
	d->load += p->scx.weight;
	b = (struct domain __arena *)((struct balance __arena *)d->balance)->busiest;
	if (b)
		b->load -= p->scx.weight;
}

OPS(DO(init), DO(stopping), .name = "timer_arg");
