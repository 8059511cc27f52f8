/* SPDX-License-Identifier: GPL-2.0 */
/* The scheduler. */
#include "task_ctx.h"

u64 all_bits;	/* truth .bss.all_bits -> struct cpubits (arena) */
u64 root_data;	/* truth .bss.root_data -> struct cgrp_data (arena) */

static __always_inline struct task_data __arena *td(struct task_struct *p)
{
	return (struct task_data __arena *)task_data_of(p);
}

OP2(s32, cgroup_init, struct cgroup *, cgrp, struct scx_cgroup_init_args *, args)
{
	struct cgrp_data __arena *c = (struct cgrp_data __arena *)cgrp_alloc(cgrp, sizeof(*c));
	struct cgroup *up;

	if (!c)
		return -12;
	c->level = cgrp->level;
	if (!cgrp->level) {
		root_data = (u64)c;
		return 0;
	}
	up = bpf_cgroup_ancestor(cgrp, cgrp->level - 1);
	if (!up)
		return -2;
	c->parent = cgrp_data_of(up);
	bpf_cgroup_release(up);
	return 0;
}

OP2(s32, init_task, struct task_struct *, p, struct scx_init_task_args *, args)
{
	struct task_data __arena *t = (struct task_data __arena *)task_alloc(p, sizeof(*t));
	struct cgrp_data __arena *c;

	if (!t)
		return -12;
	t->mask = bits_alloc();
	if (!t->mask)
		return -12;
	bits_copy(t->mask, all_bits);
	t->cgx = cgrp_data_of(args->cgroup);
	t->weight = p->scx.weight;
	c = (struct cgrp_data __arena *)t->cgx;
	if (!c)
		c = (struct cgrp_data __arena *)root_data;
	if (c && (!c->heaviest || ((struct task_data __arena *)c->heaviest)->weight < t->weight))
		c->heaviest = (u64)t;
	return 0;
}

OP2(void, exit_task, struct task_struct *, p, struct scx_exit_task_args *, args)
{
	struct task_data __arena *t = td(p);
	struct cgrp_data __arena *c;

	if (!t)
		return;
	c = (struct cgrp_data __arena *)t->cgx;
	while (c && can_loop()) {
		if (c->heaviest == (u64)t)
			c->heaviest = 0;
		c->nr--;
		c = (struct cgrp_data __arena *)c->parent;
	}
	task_free(p);
}

OP2(void, runnable, struct task_struct *, p, u64, flags)
{
	struct task_data __arena *t = td(p), *w = td(bpf_get_current_task_btf());

	if (!t || !w)
		return;
	t->waker = (u64)w;
	if (((struct task_data __arena *)t->waker)->vtime > t->vtime)
		t->vtime = w->vtime;
	bits_set(t->mask, w->cpu);
}

OP0(s32, init)
{
	u32 i;

	if (lib_init())
		return -12;
	all_bits = bits_alloc();
	for (i = 0; i < 512 && can_loop(); i++)
		bits_set(all_bits, i);
	return 0;
}

DESCRIBE(cgrp_data);
DESCRIBE(task_data);
DESCRIBE(cpubits);
OPS(DO(cgroup_init), DO(init_task), DO(exit_task), DO(runnable), DO(init), .name = "task_ctx");
LICENSE();
