// SPDX-License-Identifier: GPL-2.0
/* Objects that helpers copy as a whole: from maps, into maps, from the kernel. */
#include "cast.h"

static long (*bpf_map_push_elem)(void *map, const void *value, u64 flags) = (void *)87;
static long (*bpf_map_pop_elem)(void *map, void *value) = (void *)88;
static long (*bpf_map_peek_elem)(void *map, void *value) = (void *)89;
static long (*bpf_probe_read_kernel)(void *dst, u32 size, const void *src) = (void *)113;

struct filled {
	u64 task;
	u64 when;
};

struct copied {
	u64 task;
	u64 when;
};

struct queued {
	u64 task;
	u64 pushed_only;
};

struct popped {
	u64 popped;
	u64 peeked;
	u64 number;
};

struct started {
	u64 task;
	u64 zero;
};

struct pair {
	struct task_struct *task;
	struct cgroup *cgrp;
} __core;

struct read_both {
	u64 first;
	u64 second;
};

struct row {
	u64 pad;
	u64 cells[4];
	u64 first_cell;
	struct filled fills[2];
	u64 first_fill;
};

SINGLE(fills, struct filled);
SINGLE(copies, struct copied);
SINGLE(pops, struct popped);
SINGLE(reads, struct read_both);
SINGLE(rows, struct row);

struct {
	__uint(type, 22); /* queue */
	__uint(max_entries, 8);
	__type(value, struct queued);
} queue SEC(".maps");

struct {
	__uint(type, TASK_STORAGE);
	__uint(map_flags, 1);
	__type(key, s32);
	__type(value, struct started);
} storage SEC(".maps");

SEC("struct_ops/init_task")
s32 init_task(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct cgroup *cgrp = (void *)ARG(ctx, 1);
	struct filled *f = LOOKUP(fills);
	struct queued q = {(u64)p, (u64)cgrp};
	struct started initially = {(u64)p, 0};
	u32 zero = 0;

	if (!f)
		return 1;
	f->task = (u64)p; /* want filled.task -> struct task_struct (kernel, proven) */
	f->when = bpf_ktime_get_ns();
	bpf_map_update_elem(&copies, &zero, f, 0); /* want copied.task -> struct task_struct (kernel, proven) */

	bpf_map_push_elem(&queue, &q, 0); /* want queued.task -> struct task_struct (kernel, proven) */ /* want queued.pushed_only -> struct cgroup (kernel, proven) */
	return bpf_task_storage_get(&storage, p, &initially, 1) != NULL; /* want started.task -> struct task_struct (kernel, proven) */
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct popped *out = LOOKUP(pops);
	struct queued got;

	if (!out)
		return;
	if (bpf_map_pop_elem(&queue, &got) == 0)
		out->popped = got.task; /* want popped.popped -> struct task_struct (kernel, proven) */
	if (bpf_map_peek_elem(&queue, &got) == 0)
		out->peeked = got.pushed_only; /* want popped.peeked -> struct cgroup (kernel, proven) */
	out->number = bpf_map_pop_elem(&queue, &got);
}

/* Two members at once: both are known. */
SEC("struct_ops/dispatch")
void dispatch(u64 *ctx)
{
	struct read_both *r = LOOKUP(reads);
	struct row *row = LOOKUP(rows);
	struct pair *both = bpf_rdonly_cast((void *)ARG(ctx, 1), __builtin_btf_type_id(*(struct pair *)0, 1));
	struct pair got;

	if (!r || !row)
		return;
	bpf_probe_read_kernel(&got, sizeof(got), both);
	r->first = (u64)got.task; /* want read_both.first -> struct task_struct (kernel, proven) */
	r->second = (u64)got.cgrp; /* want read_both.second -> struct cgroup (kernel, proven) */

	/* The address of an array is that of its first element. */
	row->first_cell = (u64)row->cells; /* want row.first_cell -> unsigned long long (map value, proven) */
	row->first_fill = (u64)&row->fills[bpf_get_prandom_u32() & 1]; /* want row.first_fill -> struct filled (map value, proven) */
	if (bpf_get_prandom_u32())
		row->first_fill = (u64)row->fills;
}

SEC(".struct_ops.link")
struct test_ops ops = {
	.init_task = (void *)init_task,
	.enqueue = (void *)enqueue,
	.dispatch = (void *)dispatch,
};
