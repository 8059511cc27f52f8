// SPDX-License-Identifier: GPL-2.0
/* Searches by bpf_loop, whose state is on the stack, and a timer that walks what
 * a map's value leads to. */
#include "suite.h"
ARENA_MAP;

struct bpf_timer {
	u64 opaque[2];
} __attribute__((aligned(8)));
struct cpu_node {
	struct cpu_node __arena *next;
	u64 load; /* truth: cpu_node.load number */
	u32 cpu;
	u32 nr;
};
struct monitor {
	struct bpf_timer timer;
	struct cpu_node __arena *first;
	struct cpu_node __arena *busiest;
	u64 period; /* truth: monitor.period number */
};
struct search {
	struct cpu_node __arena *at;
	struct cpu_node __arena *best;
	u64 least; /* truth: search.least number */
};
SINGLE(monitors, struct monitor);
struct cpu_node __arena *idlest;

static long look(u32 i, struct search *s)
{
	struct cpu_node __arena *n = s->at;

	if (!n)
		return 1;
	if (n->load < s->least) {
		s->least = n->load;
		s->best = n;
	}
	s->at = n->next;
	return 0;
}

static int tick(void *map, u32 *key, struct monitor *m)
{
	struct cpu_node __arena *n = m->first;

	for_times(i, 64) {
		if (!n)
			break;
		if (!m->busiest || n->load > m->busiest->load)
			m->busiest = n;
		n = n->next;
	}
	bpf_timer_start(&m->timer, m->period, 0);
	return 0;
}

SEC("struct_ops/init_task")
int init_task(u64 *ctx)
{
	struct monitor *m = LOOKUP(monitors);
	struct cpu_node __arena *n;

	if (!m)
		return 1;
	n = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!n)
		return 1;
	n->cpu = bpf_get_smp_processor_id();
	n->nr = 0;
	n->next = m->first;
	m->first = n;
	m->period = 1000000;
	bpf_timer_init(&m->timer, &monitors, 0);
	bpf_timer_set_callback(&m->timer, tick);
	return 0;
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct monitor *m = LOOKUP(monitors);
	struct search s = {};

	if (!m)
		return;
	s.at = m->first;
	s.least = ~0ULL;
	bpf_loop(64, look, &s, 0);
	idlest = s.best;
	if (idlest)
		idlest->nr++;
}
SCHED(.init_task = (void *)init_task, .enqueue = (void *)enqueue);
