/* SPDX-License-Identifier: GPL-2.0 */
/* Pools of objects of one size, carved from segments of arena pages. */
#pragma once
#include "../heldout/scx.h"

#define SEG_PAGES 4

struct pool_seg {
	u64 link; /* truth pool_seg.link -> struct pool_seg (arena) */
	u64 end; /* none pool_seg.end */
	u64 nr;
	u64 pad;
};

struct objpool {
	u64 elem_size; /* none objpool.elem_size */
	u64 segs; /* truth objpool.segs -> struct pool_seg (arena) */
	u64 freed; /* truth objpool.freed -> struct pool_free (arena) */
	u64 cursor; /* where the segment has not been used yet */ /* none objpool.cursor */
	u64 live;
};

struct pool_free {
	u64 after; /* truth pool_free.after -> struct pool_free (arena) */
};

u64 pool_create(u64 elem_size);
u64 pool_get(u64 pool);
int pool_put(u64 pool, u64 obj);
