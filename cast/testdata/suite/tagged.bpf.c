// SPDX-License-Identifier: GPL-2.0
/* Numbers that look like pointers, and pointers that carry bits: colours in the
 * low bit, a count in the high ones, offsets in the arena, ids of tasks. */
#include "suite.h"
ARENA_MAP;

struct tnode {
	u64 parent_color; /* truth: tnode.parent_color number */
	u64 packed; /* truth: tnode.packed number */
	u64 offset; /* truth: tnode.offset number */
	struct tnode __arena *left;
	u64 serial; /* truth: tnode.serial number */
	u64 handle; /* truth: tnode.handle number */
};
struct table {
	u64 base; /* truth: table.base any */
	struct tnode __arena *first;
	u64 salt; /* truth: table.salt number */
	u64 seen[8]; /* truth: table.seen[] number */
};
struct table table;

__weak int node_init(struct tnode __arena *n __arg_arena, struct tnode __arena *parent __arg_arena)
{
	if (!n)
		return -1;
	n->parent_color = (u64)parent | (bpf_get_prandom_u32() & 1);
	n->packed = (u64)bpf_get_smp_processor_id() << 32 | bpf_get_prandom_u32();
	n->offset = (u64)n - table.base;
	n->serial = ++table.seen[0];
	n->handle = (u64)n ^ table.salt;
	n->left = table.first;
	table.first = n;
	return 0;
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct tnode __arena *n = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0), *parent;

	if (!n)
		return;
	if (!table.salt)
		table.salt = bpf_ktime_get_ns();
	table.base = (u64)n & ~0xffffffffULL;
	node_init(n, table.first);
	table.seen[p->pid & 7] = p->start_time;
	parent = (struct tnode __arena *)(n->parent_color & ~1ULL);
	if (parent)
		parent->packed += p->pid;
}
SCHED(.enqueue = (void *)enqueue);
