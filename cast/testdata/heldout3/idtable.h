/* SPDX-License-Identifier: GPL-2.0 */
/* A table that gives objects numbers: what it keeps is of the unit that asks. */
#pragma once

#include "scx.h"

#define LEAF 64
#define DIRS 64

struct id_leaf {
	u64 ptrs[LEAF]; /* truth: id_leaf.ptrs[] different */
	u64 used;
	struct id_table __arena *table;
};

struct id_table {
	struct id_leaf __arena *dir[DIRS];
	u64 hint; /* truth: id_table.hint -> struct id_leaf (arena) */
	u32 nr;
};

typedef struct id_table __arena id_table_t;

u64 id_memory(u32 pages);
u64 id_table_new(void);
int id_add(id_table_t *table __arg_arena, u64 ptr);
u64 id_get(id_table_t *table __arg_arena, u32 id);
int id_del(u64 table, u32 id);
