// SPDX-License-Identifier: GPL-2.0
/* Two trees whose nodes begin alike. BTF describes the nodes of one only: those of
 * the other are reached by casts. */
#include "suite.h"
ARENA_MAP;

struct by_time {
	u64 left; /* truth: by_time.left -> struct by_time (arena) */
	u64 right; /* truth: by_time.right -> struct by_time (arena) */
	u64 key; /* truth: by_time.key number */
	u32 pid;
	u32 prio;
};
struct by_load {
	u64 left;
	u64 right;
	u64 key;
	u64 load;
	u64 time;
	u32 cpu;
};
struct roots {
	u64 times; /* truth: roots.times -> struct by_time (arena) */
	u64 loads; /* truth: roots.loads different */
	u64 spare_times; /* truth: roots.spare_times -> struct by_time (arena) */
};
SINGLE(root_map, struct roots);
struct by_time __arena *typed_time;

static __noinline int time_add(struct roots *r, u64 key, u32 pid)
{
	struct by_time __arena *n = (struct by_time __arena *)r->spare_times, *at;

	if (n)
		r->spare_times = n->left;
	else
		n = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!n)
		return -1;
	n->left = n->right = 0;
	n->key = key;
	n->pid = pid;
	at = (struct by_time __arena *)r->times;
	if (!at) {
		r->times = (u64)n;
		return 0;
	}
	for_times(i, 32) {
		if (key < at->key) {
			if (!at->left) {
				at->left = (u64)n;
				break;
			}
			at = (struct by_time __arena *)at->left;
		} else {
			if (!at->right) {
				at->right = (u64)n;
				break;
			}
			at = (struct by_time __arena *)at->right;
		}
	}
	return 0;
}

static u64 least_below(struct by_load __arena *at)
{
	for_times(i, 32) {
		if (!at || !at->left)
			break;
		at = (void __arena *)at->left;
	}
	return at ? at->key : 0;
}

static __noinline int load_least(struct roots *r)
{
	return least_below((void __arena *)r->loads);
}

static __noinline int load_add(struct roots *r, u64 key)
{
	struct by_load __arena *n = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

	if (!n)
		return -1;
	n->key = key;
	n->left = r->loads;
	r->loads = (u64)n;
	return 0;
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct roots *r = LOOKUP(root_map);
	struct by_time __arena *n;

	if (!r)
		return;
	time_add(r, bpf_ktime_get_ns(), p->pid);
	if (load_least(r) < 10)
		load_add(r, p->pid);
	n = (struct by_time __arena *)r->times;
	if (n) {
		r->times = n->right;
		n->left = r->spare_times;
		r->spare_times = (u64)n;
	}
}

SCHED(.enqueue = (void *)enqueue);
