/* SPDX-License-Identifier: GPL-2.0 */
/* Data of tasks: where it is and which chunk it is in is kept in the storage of the task. */
#pragma once
#include "../heldout/scx.h"

#define CHUNK_ELEMS 32

struct td_chunk {
	u64 used; /* a bit for each element */ /* none td_chunk.used */
	u64 next; /* truth td_chunk.next -> struct td_chunk (arena) */
	u64 tags[CHUNK_ELEMS]; /* none td_chunk.tags[] */
	u64 mem; /* may td_chunk.mem -> struct my_task (arena) */
};

struct td_val {
	u64 data; /* truth td_val.data -> struct my_task (arena) */
	u64 chunk; /* truth td_val.chunk -> struct td_chunk (arena) */
	u64 tag; /* index and generation */ /* none td_val.tag */
};

int td_setup(u64 elem_size);
void __arena *td_pages(u32 nr);
void __arena *td_alloc(struct task_struct *p __attribute__((btf_decl_tag("arg:trusted"))));
void __arena *td_data(struct task_struct *p __attribute__((btf_decl_tag("arg:trusted"))));
int td_free(struct task_struct *p __attribute__((btf_decl_tag("arg:trusted"))));
