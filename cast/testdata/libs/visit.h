/* SPDX-License-Identifier: GPL-2.0 */
/* A table of callbacks' arguments, and a list that a library walks for its users. */
#pragma once
#include "../heldout/scx.h"

struct vnode {
	u64 next;	/* truth vnode.next -> struct vnode (arena) */
	u64 data;	/* none vnode.data */
	u64 hash;
};

struct vlist {
	u64 head;	/* truth vlist.head -> struct vnode (arena) */
	u64 tail;	/* truth vlist.tail -> struct vnode (arena) */
	u64 cursor;	/* truth vlist.cursor -> struct vnode (arena) */
	u64 length;
};

/* Loads the pages of the library's nodes: the arena is the user's. */
int vlist_give_page(u64 page);
int vlist_add(struct vlist __arena *l, u64 data, u64 hash);
u64 vlist_find(struct vlist __arena *l, u64 hash);
u64 vlist_shift(struct vlist __arena *l);
