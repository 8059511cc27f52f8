// SPDX-License-Identifier: GPL-2.0
/*
 * A scheduler that allocates and frees pages of an arena for each task that comes.
 * It notes them from when they are there until before they are freed: what is
 * noted is in the arena, at any instant. It does so where it can sleep, so that
 * the kernel frees at once, and not some time later.
 */
#include "../../example_sched/bpf/bpf.h"

char LICENSE[] SEC("license") = "GPL";

#define SHARED_DSQ 0
#define SLICE_NS 1000000
#define SETS 4 /* of slots; one task at a time uses one */
#define SLOTS 8
#define ROUNDS 8 /* for a task */
#define PAGES 32 /* in a slot, allocated and freed together */
#define PAGE_SIZE 4096ULL
#define ARENA_START (1ULL << 44)
#define ARENA_PAGES (1ULL << 20)

void bpf_arena_free_pages(void *map, void __arena *ptr, u32 page_cnt) __ksym;

struct {
	__uint(type, BPF_MAP_TYPE_ARENA);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, ARENA_PAGES);
	__ulong(map_extra, ARENA_START);
} churned SEC(".maps");

u64 live[SETS + 1][SLOTS]; /* address of the first page, 0 for none; in the last set those that stay */
u64 busy[SETS];
u64 nr_changes;

static __always_inline void allocate(void __arena *at, u64 set, u64 slot)
{
	u64 __arena *first = bpf_arena_alloc_pages(&churned, at, PAGES, NUMA_NO_NODE, 0);

	if (!first)
		return;
	for (u64 page = 0; page < PAGES; page++)
		WRITE_ONCE(first[page * PAGE_SIZE / sizeof(*first)], set * SLOTS + slot + 1);
	WRITE_ONCE(live[set][slot], (u64)first);
}

static __always_inline void change(u64 set, u64 slot)
{
	u64 first = live[set][slot];

	if (!first) {
		allocate(NULL, set, slot);
		return;
	}
	WRITE_ONCE(live[set][slot], 0);
	bpf_arena_free_pages(&churned, (void __arena *)first, PAGES);
}

SEC("struct_ops.s/init_task")
s32 churn_init_task(u64 *args)
{
	u64 set = bpf_ktime_get_ns() / 64 % SETS;
	struct bpf_iter_num rounds;

	if (__sync_lock_test_and_set(&busy[set], 1))
		return 0;
	bpf_iter_num_new(&rounds, 0, ROUNDS);
	while (bpf_iter_num_next(&rounds)) {
		for (u64 slot = 0; slot < SLOTS; slot++)
			change(set, slot);
		__sync_fetch_and_add(&nr_changes, SLOTS);
	}
	bpf_iter_num_destroy(&rounds);
	__sync_lock_test_and_set(&busy[set], 0);
	return 0;
}

SEC("struct_ops/enqueue")
void churn_enqueue(u64 *args)
{
	scx_bpf_dsq_insert(STRUCT_OPS_ARG(args, 0, struct task_struct *), SHARED_DSQ, SLICE_NS, STRUCT_OPS_ARG(args, 1, u64));
}

SEC("struct_ops/dispatch")
void churn_dispatch(u64 *args)
{
	scx_bpf_dsq_move_to_local(SHARED_DSQ);
}

SEC("struct_ops.s/init")
s32 churn_init(u64 *args)
{
	/* What comes and goes is in front of these. */
	allocate((void __arena *)(ARENA_START + (ARENA_PAGES - PAGES) * PAGE_SIZE), SETS, 0);
	if (!live[SETS][0])
		return -12; /* ENOMEM */
	return scx_bpf_create_dsq(SHARED_DSQ, NUMA_NO_NODE);
}

SEC(".struct_ops.link")
struct sched_ext_ops churn_ops = {
	.enqueue = (void *)churn_enqueue,
	.dispatch = (void *)churn_dispatch,
	.init_task = (void *)churn_init_task,
	.init = (void *)churn_init,
	.name = "churn",
};
