// SPDX-License-Identifier: GPL-2.0
/* What happens to a pointer in memory: the stack, atomic operations, odd
 * members, globals, maps without structs. */
#include "cast.h"

struct mem {
	u64 spilled;
	u64 rewritten;
	u64 copied;
	u64 exchanged;
	u64 compared;
	u64 fetched;
	struct task_struct *typed;
	union {
		u64 whole;
		u32 parts[2];
	};
	struct {
		u64 unnamed;
	};

	/* What must not be found. */
	u64 overwritten;
	u64 uneven;
	u64 counter;
	u64 flags;
	u64 invalidated;
	u64 bits : 40;
	u64 rest : 24;
	u64 halves;
};

struct packed {
	u32 tag;
	u64 unaligned;
} __attribute__((packed));

struct pair {
	u64 ptr;
	u64 count;
};

SINGLE(all, struct mem);
SINGLE(packs, struct packed);
SINGLE(bare, u64);
SINGLE(untyped, void *);

struct {
	__uint(type, HASH);
	__uint(max_entries, 16);
	__type(key, struct key { u64 task; u32 cpu; u32 pad; });
	__type(value, struct pair);
} pairs SEC(".maps");

u64 in_bss;
u64 in_data = 5;
u64 counted;
struct pair in_struct;
u64 many[8];

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct mem *m = LOOKUP(all);
	struct packed *packed = LOOKUP(packs);
	u64 *value = LOOKUP(bare), x;
	void **slot = LOOKUP(untyped);
	u32 i = bpf_get_prandom_u32() & 7;

	if (!m || !packed || !value || !slot)
		return;
	asm volatile("*(u64 *)(r10 - 200) = %1; %0 = *(u64 *)(r10 - 200)" : "=r"(x) : "r"(p) : "memory");
	m->spilled = x; /* want mem.spilled -> struct task_struct (kernel, proven) */
	asm volatile("r1 = 9; *(u64 *)(r10 - 200) = r1; *(u64 *)(r10 - 200) = %1; %0 = *(u64 *)(r10 - 200)"
		     : "=r"(x) : "r"(p) : "memory", "r1");
	m->rewritten = x; /* want mem.rewritten -> struct task_struct (kernel, proven) */
	m->copied = m->spilled; /* want mem.copied -> struct task_struct (kernel, proven) */
	__sync_lock_test_and_set(&m->exchanged, (u64)p); /* want mem.exchanged -> struct task_struct (kernel, proven) */
	__sync_val_compare_and_swap(&m->compared, 0, (u64)p); /* want mem.compared -> struct task_struct (kernel, proven) */
	/* The operation returns what was there. */
	m->fetched = __sync_lock_test_and_set(&m->exchanged, (u64)p); /* want mem.fetched -> struct task_struct (kernel, proven) */
	m->whole = (u64)p; /* want mem.whole -> struct task_struct (kernel, proven) */
	m->unnamed = (u64)p; /* want mem.unnamed -> struct task_struct (kernel, proven) */

	/* Half of it is another value, or it is read from between two. */
	asm volatile("*(u64 *)(r10 - 200) = %1; r1 = 1; *(u32 *)(r10 - 196) = r1; %0 = *(u64 *)(r10 - 200)"
		     : "=r"(x) : "r"(p) : "memory", "r1");
	m->overwritten = x;
	asm volatile("*(u64 *)(r10 - 208) = %1; *(u64 *)(r10 - 200) = %1; %0 = *(u64 *)(r10 - 204)"
		     : "=r"(x) : "r"(p) : "memory");
	m->uneven = x;
	__sync_fetch_and_add(&m->counter, 1);
	__sync_fetch_and_or(&m->flags, 4);
	asm volatile("*(u64 *)(r10 - 200) = %1; r1 = 1; lock *(u64 *)(r10 - 200) += r1; %0 = *(u64 *)(r10 - 200)"
		     : "=r"(x) : "r"(p) : "memory", "r1");
	m->invalidated = x;
	m->bits = (u64)p;
	m->rest = (u64)p;
	*(u32 *)&m->halves = (u32)(u64)p;
	*((u32 *)&m->halves + 1) = (u64)p >> 32;

	in_bss = (u64)p; /* want .bss.in_bss -> struct task_struct (kernel, proven) */
	in_data = (u64)p; /* want .data.in_data -> struct task_struct (kernel, proven) */
	in_struct.ptr = (u64)p; /* want pair.ptr -> struct task_struct (kernel, proven) */
	in_struct.count++;
	many[i] = (u64)p; /* want .bss.many[] -> struct task_struct (kernel, proven) */
	counted++;
	*value = (u64)p; /* want bare -> struct task_struct (kernel, proven) */
	*slot = p; /* want untyped -> struct task_struct (kernel, proven) */
}

SEC("struct_ops/init_task")
int init_task(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct key key = { .task = (u64)p, .cpu = 1 };
	struct pair v = { .ptr = (u64)p, .count = ARG(ctx, 1) != 0 }, *found;

	bpf_map_update_elem(&pairs, &key, &v, 0); /* want key.task -> struct task_struct (kernel, proven) */
	found = bpf_map_lookup_elem(&pairs, &key);
	if (found)
		found->count++;
	return 0;
}

SEC(".struct_ops.link")
struct test_ops ops = {
	.enqueue = (void *)enqueue,
	.init_task = (void *)init_task,
};
