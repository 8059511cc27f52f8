/* SPDX-License-Identifier: GPL-2.0 */
/* A stack of pointers, in segments of a page. */
#pragma once
#include "scx.h"

#define SEG_ELEMS 500

struct seg {
	u64 prev; /* truth seg.prev -> struct seg (arena) */
	u64 next; /* truth seg.next -> struct seg (arena) */
	void __arena *elems[SEG_ELEMS]; /* of the user's */ /* may seg.elems[] -> struct work (arena) */
};

struct segstack {
	u64 first; /* truth segstack.first -> struct seg (arena) */
	u64 last; /* truth segstack.last -> struct seg (arena) */
	u64 current; /* truth segstack.current -> struct seg (arena) */
	u64 reserve; /* truth segstack.reserve -> struct seg (arena) */
	u64 index; /* none segstack.index */
	u64 capacity;
};

int segstack_push(struct segstack __arena *s, void __arena *elem);
u64 segstack_pop(struct segstack __arena *s);
