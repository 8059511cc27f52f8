/* SPDX-License-Identifier: GPL-2.0 */
/* Contexts of tasks and cgroups: the library keeps them, the scheduler says what they are. */
#pragma once
#include "../heldout/scx.h"

struct task_data {
	u64 cgx;	/* truth task_data.cgx -> struct cgrp_data (arena) */
	u64 mask;	/* truth task_data.mask -> struct cpubits (arena) */
	u64 waker;	/* truth task_data.waker -> struct task_data (arena) */
	u64 vtime;
	u32 weight;
	u32 cpu;
};

struct cgrp_data {
	u64 parent;	/* truth cgrp_data.parent -> struct cgrp_data (arena) */
	u64 heaviest;	/* truth cgrp_data.heaviest -> struct task_data (arena) */
	u64 nr;
	u64 level;
};

struct cpubits {
	u64 bits[8];
};

int lib_init(void);
u64 lib_alloc(u64 size);
u64 task_alloc(struct task_struct *p, u64 size);
u64 task_data_of(struct task_struct *p);
void task_free(struct task_struct *p);
u64 cgrp_alloc(struct cgroup *cgrp, u64 size);
u64 cgrp_data_of(struct cgroup *cgrp);
u64 bits_alloc(void);
int bits_copy(u64 to, u64 from);
int bits_set(u64 to, u32 bit);
