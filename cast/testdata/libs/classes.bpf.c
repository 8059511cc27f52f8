/* SPDX-License-Identifier: GPL-2.0 */
/*
 * An allocator of size classes in front of chunks, that three structs come from.
 * A freed element's first word is the list's link.
 */
#include "../heldout/scx.h"

ARENA(2048);

struct chunk {
	u64 before;	/* truth chunk.before -> struct chunk (arena) */
	u64 left;
	u8 data[];
};

struct class {
	u64 free;	/* truth class.free -> struct elem (arena) */
	u64 chunk;	/* truth class.chunk -> struct chunk (arena) */
	u64 size;
	u64 given;
};

struct elem {
	u64 link;	/* truth elem.link -> struct elem (arena) */
};

struct class __arena_global classes[4];

struct dom {
	u64 head;	/* truth dom.head -> struct tsk (arena) */
	u64 tail;	/* truth dom.tail -> struct tsk (arena) */
	u64 load;
	u64 peer;	/* truth dom.peer -> struct dom (arena) */
	u32 id;
};

struct tsk {
	u64 dom;	/* truth tsk.dom -> struct dom (arena) */
	u64 behind;	/* truth tsk.behind -> struct tsk (arena) */
	u64 ravg;	/* truth tsk.ravg -> struct ravg (arena) */
	u64 p;		/* truth tsk.p -> struct task_struct (kernel) */
	u64 sum;
};

struct ravg {
	u64 val;
	u64 val_at;
	u64 owner;	/* truth ravg.owner -> struct tsk (arena) */
};

u64 doms[8];		/* truth .bss.doms[] -> struct dom (arena) */

struct slot {
	u64 tsk;	/* truth slot.tsk -> struct tsk (arena) */
};
STORAGE(slots, BPF_MAP_TYPE_TASK_STORAGE, struct slot);

static __noinline u64 class_take(struct class __arena *c)
{
	struct chunk __arena *k = (struct chunk __arena *)c->chunk, *more;
	struct elem __arena *e = (struct elem __arena *)c->free;
	u64 at;

	if (e) {
		c->free = e->link;
		return (u64)e;
	}
	if (!k || k->left < c->size) {
		more = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!more)
			return 0;
		more->before = (u64)k;
		more->left = 4096 - sizeof(*more);
		c->chunk = (u64)more;
		k = more;
	}
	at = (u64)k->data + (4096 - sizeof(*k) - k->left);
	k->left -= c->size;
	c->given++;
	return at;
}

__weak u64 alloc_bytes(u64 size)
{
	u32 i = size <= 32 ? 0 : size <= 64 ? 1 : size <= 128 ? 2 : 3;
	struct class __arena *c = &classes[i];

	if (!c->size)
		c->size = 32ULL << i;
	return class_take(c);
}

__weak int free_bytes(u64 at, u64 size)
{
	u32 i = size <= 32 ? 0 : size <= 64 ? 1 : size <= 128 ? 2 : 3;
	struct elem __arena *e = (struct elem __arena *)at;

	e->link = classes[i].free;
	classes[i].free = at;
	return 0;
}

static __always_inline struct tsk __arena *tsk_of(struct task_struct *p)
{
	struct slot *s = bpf_task_storage_get(&slots, p, NULL, 0);

	return s ? (struct tsk __arena *)s->tsk : NULL;
}

OP0(s32, init)
{
	struct dom __arena *d, *prev = NULL;
	int i;

	for (i = 0; i < 8 && can_loop(); i++) {
		d = (struct dom __arena *)alloc_bytes(sizeof(*d));
		if (!d)
			return -12;
		d->id = i;
		d->head = d->tail = 0;
		d->peer = (u64)prev;
		doms[i] = (u64)d;
		prev = d;
	}
	return 0;
}

OP2(s32, init_task, struct task_struct *, p, struct scx_init_task_args *, args)
{
	struct slot *s = bpf_task_storage_get(&slots, p, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	struct tsk __arena *t;
	struct ravg __arena *r;

	if (!s)
		return -12;
	t = (struct tsk __arena *)alloc_bytes(sizeof(*t));
	r = (struct ravg __arena *)alloc_bytes(sizeof(*r));
	if (!t || !r)
		return -12;
	t->p = (u64)p;
	t->ravg = (u64)r;
	t->dom = doms[p->pid & 7];
	r->owner = (u64)t;
	r->val = 0;
	s->tsk = (u64)t;
	return 0;
}

OP2(void, exit_task, struct task_struct *, p, struct scx_exit_task_args *, args)
{
	struct tsk __arena *t = tsk_of(p);

	if (!t)
		return;
	free_bytes(t->ravg, sizeof(struct ravg));
	free_bytes((u64)t, sizeof(*t));
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	struct tsk __arena *t = tsk_of(p);
	struct dom __arena *d;
	struct ravg __arena *r;

	if (!t)
		return;
	d = (struct dom __arena *)t->dom;
	t->behind = 0;
	if (d->tail)
		((struct tsk __arena *)d->tail)->behind = (u64)t;
	else
		d->head = (u64)t;
	d->tail = (u64)t;
	r = (struct ravg __arena *)t->ravg;
	r->val += bpf_ktime_get_ns() - r->val_at;
	r->val_at = bpf_ktime_get_ns();
	((struct tsk __arena *)r->owner)->sum = r->val;
}

OP2(void, dispatch, s32, cpu, struct task_struct *, prev)
{
	struct dom __arena *d = (struct dom __arena *)doms[cpu & 7];
	struct tsk __arena *t;

	if (!d)
		return;
	if (!d->head && d->peer)
		d = (struct dom __arena *)d->peer;
	t = (struct tsk __arena *)d->head;
	if (!t)
		return;
	d->head = t->behind;
	if (!d->head)
		d->tail = 0;
	d->load += t->sum;
}

DESCRIBE(chunk);
DESCRIBE(elem);
DESCRIBE(dom);
DESCRIBE(tsk);
DESCRIBE(ravg);
OPS(DO(init), DO(init_task), DO(exit_task), DO(enqueue), DO(dispatch), .name = "classes");
LICENSE();
