/* SPDX-License-Identifier: GPL-2.0 */
/* Data of tasks by numbers: a library hands out memory and remembers it in the
 * task's storage. It does not know the type of what it allocates. */
#pragma once
#include "scx.h"

struct tid_hdr {
	u64 tid; /* index and generation */ /* none tid_hdr.tid */
	u64 size;
	u64 payload[]; /* none tid_hdr.payload[] */
};

struct tid_chunk {
	u64 used; /* bitmap */ /* none tid_chunk.used */
	u64 next; /* truth tid_chunk.next -> struct tid_chunk (arena) */
	u64 data[64]; /* truth tid_chunk.data[] -> struct tid_hdr | struct task_ctx+16 (arena) */
};

struct tid_alloc {
	u64 chunk; /* truth tid_alloc.chunk -> struct tid_chunk (arena) */
	u64 elem_size;
	u64 nr_live; /* none tid_alloc.nr_live */
	u64 lock_owner; /* a number of a CPU plus one */ /* none tid_alloc.lock_owner */
};

struct tid_val {
	u64 tid; /* none tid_val.tid */
	u64 tptr; /* the task, not held */ /* truth tid_val.tptr -> struct task_struct (kernel) */
	u64 data; /* truth tid_val.data -> struct tid_hdr | struct task_ctx+16 (arena) */
};

u64 tid_task_alloc(struct task_struct *p);
u64 tid_task_data(struct task_struct *p);
int tid_task_free(struct task_struct *p);
int tid_init(u64 elem_size);
