// SPDX-License-Identifier: GPL-2.0
/* Programs that only the kernel's own types say the arguments of: without them
 * nothing is found. TestKernelTypesTheArgumentsOfTracingPrograms has what is
 * found with them. */
#include "cast.h"

struct traced {
	u64 preempt; /* a number */
	u64 prev;
	u64 next;
	u64 created;
	u64 code; /* a number */
	u64 file;
	u64 child;
	u64 unknown; /* of a function that no kernel has */
};

SINGLE(all, struct traced);

SEC("tp_btf/sched_switch")
int on_switch(u64 *ctx)
{
	struct traced *t = LOOKUP(all);

	if (!t)
		return 0;
	t->preempt = ARG(ctx, 0);
	t->prev = ARG(ctx, 1);
	t->next = ARG(ctx, 2);
	return 0;
}

SEC("fentry/wake_up_new_task")
int on_create(u64 *ctx)
{
	struct traced *t = LOOKUP(all);

	if (t)
		t->created = ARG(ctx, 0);
	return 0;
}

SEC("raw_tp/sched_process_fork")
int on_fork(u64 *ctx)
{
	struct traced *t = LOOKUP(all);

	if (t)
		t->child = ARG(ctx, 1);
	return 0;
}

SEC("fexit/do_exit")
int on_exit(u64 *ctx)
{
	struct traced *t = LOOKUP(all);

	if (t)
		t->code = ARG(ctx, 0);
	return 0;
}

SEC("lsm/file_open")
int on_open(u64 *ctx)
{
	struct traced *t = LOOKUP(all);

	if (t)
		t->file = ARG(ctx, 0);
	return 0;
}

SEC("fentry/no_kernel_has_this")
int on_nothing(u64 *ctx)
{
	struct traced *t = LOOKUP(all);

	if (t)
		t->unknown = ARG(ctx, 0);
	return 0;
}
