/* SPDX-License-Identifier: GPL-2.0 */
/* Numbers for objects, in a table of two levels. */
#pragma once
#include "../heldout/scx.h"

int idr_setup(void);
s32 idr_new(u64 object);
u64 idr_find(u32 id);
int idr_drop(u32 id);
u64 idr_next(u32 id);
