/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A tracer in stages: tail calls hand on pointers in a per-CPU value, numeric
 * iterators walk a table of them, and a timer's callback finds one beside its timer.
 */
#include "../heldout/scx.h"

ARENA(128);

struct iter_num {
	u64 opaque;
} __attribute__((aligned(8)));
extern int bpf_iter_num_new(struct iter_num *it, int start, int end) __ksym;
extern int *bpf_iter_num_next(struct iter_num *it) __ksym;
extern void bpf_iter_num_destroy(struct iter_num *it) __ksym;
static long (*const bpf_tail_call)(void *ctx, void *map, u32 index) = (void *)12;

struct frame {
	u64 task;	/* truth frame.task -> struct task_struct (kernel) */
	u64 prev;	/* truth frame.prev -> struct task_struct (kernel) */
	u64 rec;	/* truth frame.rec -> struct rec (arena) */
	u64 mask;	/* truth frame.mask -> struct cpumask (kernel) */
	u64 started;
};

struct rec {
	u64 earlier;	/* truth rec.earlier -> struct rec (arena) */
	u64 waker;	/* truth rec.waker -> struct task_struct (kernel) */
	u64 lat;
};

MAP(frames, BPF_MAP_TYPE_PERCPU_ARRAY, 1, u32, struct frame);

struct {
	__uint(type, 3);
	__uint(max_entries, 4);
	__uint(key_size, 4);
	__uint(value_size, 4);
} stages SEC(".maps");

struct alarm {
	struct bpf_timer timer;
	u64 rec;	/* truth alarm.rec -> struct rec (arena) */
	u64 fired;
};
MAP(alarms, BPF_MAP_TYPE_ARRAY, 16, u32, struct alarm);

u64 recs[16];		/* truth .bss.recs[] -> struct rec (arena) */

static long ring(void *map, u32 *key, struct alarm *a)
{
	struct rec __arena *r = (struct rec __arena *)a->rec;

	if (r)
		r->lat = 0;
	a->fired++;
	return 0;
}

SEC("tp_btf/sched_switch")
int on_switch(u64 *ctx)
{
	u32 zero = 0;
	struct frame *f = bpf_map_lookup_elem(&frames, &zero);

	if (!f)
		return 0;
	f->prev = ctx[1];
	f->task = ctx[2];
	f->mask = (u64)((struct task_struct *)ctx[2])->cpus_ptr;
	f->started = bpf_ktime_get_ns();
	f->rec = recs[bpf_get_smp_processor_id() & 15];
	bpf_tail_call(ctx, &stages, 1);
	return 0;
}

SEC("tp_btf/sched_switch")
int stage_one(u64 *ctx)
{
	u32 zero = 0;
	struct frame *f = bpf_map_lookup_elem(&frames, &zero);
	struct iter_num it;
	int *i;

	if (!f || !f->rec)
		return 0;
	bpf_iter_num_new(&it, 0, 16);
	while ((i = bpf_iter_num_next(&it))) {
		struct rec __arena *r = (struct rec __arena *)recs[*i & 15];

		if (r && r->waker == f->prev)
			((struct rec __arena *)f->rec)->lat += r->lat;
	}
	bpf_iter_num_destroy(&it);
	if (f->mask != (u64)((struct task_struct *)ctx[2])->cpus_ptr)
		bpf_tail_call(ctx, &stages, 2);
	return 0;
}

SEC("tp_btf/sched_switch")
int stage_two(u64 *ctx)
{
	u32 zero = 0, at;
	struct frame *f = bpf_map_lookup_elem(&frames, &zero);
	struct rec __arena *r;
	struct alarm *a;

	if (!f)
		return 0;
	r = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!r)
		return 0;
	r->earlier = f->rec;
	r->waker = f->task;
	r->lat = bpf_ktime_get_ns() - f->started;
	at = bpf_get_smp_processor_id() & 15;
	recs[at] = (u64)r;
	a = bpf_map_lookup_elem(&alarms, &at);
	if (!a)
		return 0;
	a->rec = (u64)r;
	bpf_timer_init(&a->timer, &alarms, 1);
	bpf_timer_set_callback(&a->timer, ring);
	bpf_timer_start(&a->timer, 1000000, 0);
	if (r->earlier)
		((struct rec __arena *)r->earlier)->earlier = 0;
	return 0;
}

DESCRIBE(rec);
LICENSE();
