// SPDX-License-Identifier: GPL-2.0
/* Programs that say the verifier must refuse them: what they store, and what
 * only they call stores, is never there. */
#include "cast.h"

#define __failure __attribute__((btf_decl_tag("comment:1:test_expect_failure")))

struct kept {
	u64 task;
	u64 never;
	u64 by_both;
};

SINGLE(all, struct kept);

static long only_refused(u64 i, struct kept *k)
{
	k->never = (u64)bpf_get_current_task_btf();
	return 0;
}

static long by_both(u64 i, struct kept *k)
{
	k->by_both = (u64)bpf_get_current_task_btf(); /* want kept.by_both -> struct task_struct (kernel, proven) */
	return 0;
}

SEC("?struct_ops/refused")
__failure
int refused(u64 *ctx)
{
	struct kept *k = LOOKUP(all);

	if (!k)
		return 0;
	k->task = bpf_ktime_get_ns();
	bpf_loop(2, only_refused, k, 0);
	return bpf_loop(2, by_both, k, 0);
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct kept *k = LOOKUP(all);

	if (!k)
		return;
	k->task = ARG(ctx, 0); /* want kept.task -> struct task_struct (kernel, proven) */
	bpf_loop(2, by_both, k, 0);
}

OPS(enqueue, enqueue);
