/* SPDX-License-Identifier: GPL-2.0 */
/* The table of two stages by number, of which any unit has its own. */
#include "idtable.h"

ARENA_MAP(arena);

u64 tables_made;

__noinline u64 id_memory(u32 pages)
{
	return (u64)bpf_arena_alloc_pages(&arena, NULL, pages, -1, 0);
}

__noinline u64 id_table_new(void)
{
	tables_made++;
	return (u64)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
}

static struct id_leaf __arena *leaf_of(id_table_t *table, u32 id)
{
	struct id_leaf __arena *leaf = table->dir[id / LEAF % DIRS];

	if (leaf)
		return leaf;
	leaf = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!leaf)
		return NULL;
	leaf->table = table;
	table->dir[id / LEAF % DIRS] = leaf;
	table->hint = (u64)leaf;
	return leaf;
}

__noinline int id_add(id_table_t *table __arg_arena, u64 ptr)
{
	struct id_leaf __arena *leaf = (struct id_leaf __arena *)table->hint;
	u32 id = table->nr;

	if (!leaf || leaf->used == ~0ull)
		leaf = leaf_of(table, id);
	if (!leaf)
		return -ENOMEM;
	table->nr++;
	leaf->used |= 1ull << (id % LEAF);
	leaf->ptrs[id % LEAF] = ptr;
	return id;
}

__noinline u64 id_get(id_table_t *table __arg_arena, u32 id)
{
	struct id_leaf __arena *leaf = table->dir[id / LEAF % DIRS];

	if (!leaf || !(leaf->used & (1ull << (id % LEAF))))
		return 0;
	return leaf->ptrs[id % LEAF];
}

__noinline int id_del(u64 addr, u32 id)
{
	id_table_t *table = (id_table_t *)addr;
	struct id_leaf __arena *leaf;

	if (!table)
		return -EINVAL;
	leaf = table->dir[id / LEAF % DIRS];
	if (!leaf)
		return -ENOENT;
	leaf->ptrs[id % LEAF] = 0;
	leaf->used &= ~(1ull << (id % LEAF));
	leaf->table->hint = (u64)leaf;
	return 0;
}
