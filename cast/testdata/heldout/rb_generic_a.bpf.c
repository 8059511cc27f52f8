// SPDX-License-Identifier: GPL-2.0
/* The library's half: an unbalanced tree, as a unit of its own. */
#include "rb_generic.h"

DESCRIBE(gnode);

extern void __arena *lib_alloc(u64 size);

__weak struct gtree __arena *gtree_create(void)
{
	struct gtree __arena *tree = lib_alloc(sizeof(*tree));

	if (!tree)
		return NULL;
	tree->top = NULL;
	tree->count = 0;
	return tree;
}

__weak int gtree_insert(struct gtree __arena *tree, u64 key, u64 value)
{
	struct gnode __arena *n, *at, *up = NULL;
	int dir = 0;

	if (!tree)
		return -22;
	n = tree->spare;
	if (n)
		tree->spare = n->up;
	else
		n = lib_alloc(sizeof(*n));
	if (!n)
		return -12;
	for (at = tree->top; at && can_loop(); at = at->kid[dir]) {
		dir = key > at->key;
		up = at;
	}
	n->key = key;
	n->value = value;
	n->up = up;
	n->kid[0] = NULL;
	n->kid[1] = NULL;
	if (up)
		up->kid[dir] = n;
	else
		tree->top = n;
	tree->count++;
	return 0;
}

__weak u64 gtree_pop(struct gtree __arena *tree)
{
	struct gnode __arena *n, *up, *kid;
	u64 value;

	if (!tree)
		return 0;
	n = tree->top;
	if (!n)
		return 0;
	while (n->kid[0] && can_loop())
		n = n->kid[0];
	up = n->up;
	kid = n->kid[1];
	if (kid)
		kid->up = up;
	if (up)
		up->kid[0] = kid;
	else
		tree->top = kid;
	value = n->value;
	n->up = tree->spare;
	tree->spare = n;
	tree->count--;
	return value;
}
