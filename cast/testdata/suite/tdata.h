/* SPDX-License-Identifier: GPL-2.0 */
/* What the units of the task data library and its user share. */
#pragma once
#include "suite.h"

struct {
	__uint(type, ARENA);
	__uint(map_flags, 1024);
	__uint(max_entries, 1000);
} arena SEC(".maps") __weak;

struct td_chunk {
	u64 free; /* truth: td_chunk.free -> struct td_hdr (arena) */
	u64 prev; /* truth: td_chunk.prev -> struct td_chunk (arena) */
	u64 nr; /* truth: td_chunk.nr number */
	u32 elem;
	u32 used;
};
struct td_hdr {
	u64 tid; /* truth: td_hdr.tid number */
	u64 next; /* truth: td_hdr.next -> struct td_hdr (arena) */
	u64 chunk; /* truth: td_hdr.chunk -> struct td_chunk (arena) */
	u64 payload[];
};
struct td_alloc {
	u64 chunk; /* truth: td_alloc.chunk -> struct td_chunk (arena) */
	u64 elem; /* truth: td_alloc.elem number */
	u64 gen; /* truth: td_alloc.gen number */
};
struct td_val {
	u64 tid; /* truth: td_val.tid number */
	u64 tptr; /* truth: td_val.tptr -> struct task_struct (kernel) */
	u64 hdr; /* truth: td_val.hdr -> struct td_hdr (arena) */
	u64 data; /* truth: td_val.data -> struct tjob (arena) */
};
int td_init(u64 elem);
u64 td_page(void);
u64 td_task_alloc(struct task_struct *p);
u64 td_task_data(struct task_struct *p);
void td_task_free(struct task_struct *p);
