/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A common unit that keeps a context for each task: in a map's value by number, and
 * in the task's storage.
 */
#pragma once
#include "../heldout/scx.h"

struct span {
	u64 start;	/* may span.start -> struct qctx (arena) */
	u64 cur;	/* none span.cur */
	u64 limit;
	u64 former;	/* truth span.former -> struct span (arena) */
};

int ctx_setup(u64 size);
u64 ctx_make(struct task_struct *p);
u64 ctx_get(struct task_struct *p);
u64 ctx_by_pid(u32 pid);
int ctx_drop(struct task_struct *p);
