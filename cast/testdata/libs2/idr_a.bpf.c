/* SPDX-License-Identifier: GPL-2.0 */
/* The table. Free entries are chained by number, free leaves by address. */
#include "idr.h"

ARENA(1024);

struct ident {
	u64 object;	/* truth ident.object -> struct cell (arena) */
	u32 gen;
	u32 next;
};

struct leaf {
	u64 after;	/* truth leaf.after -> struct leaf (arena) */
	u64 nr;
	struct ident idents[250];
};

u64 leaves[64];		/* truth .bss.leaves[] -> struct leaf (arena) */
u64 empty_leaves;	/* truth .bss.empty_leaves -> struct leaf (arena) */
u32 first_free;
u32 nr_leaves;

static __noinline struct ident __arena *ident_at(u32 id)
{
	struct leaf __arena *l;

	if (id / 250 >= 64)
		return NULL;
	l = (struct leaf __arena *)leaves[id / 250];
	if (!l)
		return NULL;
	return &l->idents[id % 250];
}

static __noinline int add_leaf(void)
{
	struct leaf __arena *l = (struct leaf __arena *)empty_leaves;
	u32 n = nr_leaves, i;

	if (n >= 64)
		return -28;
	if (l)
		empty_leaves = l->after;
	else
		l = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!l)
		return -12;
	for (i = 0; i < 250 && can_loop(); i++) {
		l->idents[i].next = first_free;
		first_free = n * 250 + i;
	}
	leaves[n] = (u64)l;
	nr_leaves++;
	return 0;
}

__weak int idr_setup(void)
{
	first_free = ~0U;
	return add_leaf();
}

__weak s32 idr_new(u64 object)
{
	struct ident __arena *i;
	u32 id;

	if (first_free == ~0U && add_leaf())
		return -28;
	id = first_free;
	i = ident_at(id);
	if (!i)
		return -2;
	first_free = i->next;
	i->object = object;
	i->gen++;
	return id;
}

__weak u64 idr_find(u32 id)
{
	struct ident __arena *i = ident_at(id);

	return i ? i->object : 0;
}

__weak int idr_drop(u32 id)
{
	struct ident __arena *i = ident_at(id);
	struct leaf __arena *l;

	if (!i)
		return -2;
	i->object = 0;
	i->next = first_free;
	first_free = id;
	l = (struct leaf __arena *)leaves[(id / 250) & 63];
	if (l && !--l->nr) {
		l->after = empty_leaves;
		empty_leaves = (u64)l;
		leaves[(id / 250) & 63] = 0;
	}
	return 0;
}

__weak u64 idr_next(u32 id)
{
	while (can_loop()) {
		struct ident __arena *i = ident_at(++id);

		if (!i)
			return 0;
		if (i->object)
			return i->object;
	}
	return 0;
}

DESCRIBE(leaf);
LICENSE();
