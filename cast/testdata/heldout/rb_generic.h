/* SPDX-License-Identifier: GPL-2.0 */
/* A tree that does not know what its users keep in it. */
#pragma once
#include "scx.h"

struct gnode {
	void __arena *up; /* truth gnode.up -> struct gnode (arena) */
	void __arena *kid[2]; /* truth gnode.kid[] -> struct gnode (arena) */
	u64 key; /* none gnode.key */
	u64 value; /* none gnode.value */
};

struct gtree {
	void __arena *top; /* truth gtree.top -> struct gnode (arena) */
	u64 count;
	void __arena *spare; /* truth gtree.spare -> struct gnode (arena) */
};

int gtree_insert(struct gtree __arena *tree, u64 key, u64 value);
u64 gtree_pop(struct gtree __arena *tree);
struct gtree __arena *gtree_create(void);
