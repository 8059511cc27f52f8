/* SPDX-License-Identifier: GPL-2.0 */
/* What the library unit and its user share. */
#pragma once
#include "suite.h"

struct {
	__uint(type, ARENA);
	__uint(map_flags, 1024);
	__uint(max_entries, 1000);
} arena SEC(".maps") __weak;

struct store_desc {
	u64 tid; /* truth: store_desc.tid number */
	struct store_desc __arena *next;
	void __arena *data; /* truth: store_desc.data -> struct job (arena) */
	u64 owner;
};

struct store_val {
	struct store_desc __arena *desc;
	void __arena *data; /* truth: store_val.data -> struct job (arena) */
};

u64 store_alloc(u64 size);
void __arena *store_of(struct task_struct *p, u64 size);
u64 store_next(struct store_desc __arena *d __arg_arena);
