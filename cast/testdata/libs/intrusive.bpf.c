/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Doubly linked lists through members of an entry: one by age, at the front of
 * the entry, one of the dirty ones, further back. The heads are bare links.
 * Contexts lead to entries by the tasks' storage.
 */
#include "../heldout/scx.h"

ARENA(512);

struct link {
	u64 next;	/* truth link.next -> struct link (arena) */
	u64 prev;	/* truth link.prev -> struct link (arena) */
};

struct entry {
	struct link age;
	u64 key;
	u64 value;	/* truth entry.value -> struct stats (arena) */
	struct link dirty;
	u64 up;		/* truth entry.up -> struct cache (arena) */
	u32 is_dirty;
};

struct stats {
	u64 hits;
	u64 of;		/* truth stats.of -> struct entry (arena) */
	u64 task;	/* truth stats.task -> struct task_struct (kernel) */
};

struct cache {
	struct link by_age;
	struct link dirty;
	u64 now;	/* truth cache.now -> struct entry (arena) */
	u64 entries;
};

u64 cache_at;		/* truth .bss.cache_at -> struct cache (arena) */

struct holder {
	u64 entry;	/* truth holder.entry -> struct entry (arena) */
};
STORAGE(holders, BPF_MAP_TYPE_TASK_STORAGE, struct holder);

#define L(x) ((struct link __arena *)(x))

static __always_inline void link_init(struct link __arena *l)
{
	l->next = l->prev = (u64)l;
}

static __noinline int link_add(struct link __arena *l, struct link __arena *head)
{
	struct link __arena *first = L(head->next);

	l->next = (u64)first;
	l->prev = (u64)head;
	first->prev = (u64)l;
	head->next = (u64)l;
	return 0;
}

static __noinline int link_del(struct link __arena *l)
{
	L(l->prev)->next = l->next;
	L(l->next)->prev = l->prev;
	link_init(l);
	return 0;
}

static __noinline int touch(struct cache __arena *c, struct entry __arena *e)
{
	link_del(&e->age);
	link_add(&e->age, &c->by_age);
	if (!e->is_dirty) {
		link_add(&e->dirty, &c->dirty);
		e->is_dirty = 1;
	}
	c->now = (u64)e;
	return 0;
}

static __noinline int flush(struct cache __arena *c)
{
	struct entry __arena *e;
	int done = 0;

	while (L(c->dirty.next) != &c->dirty && can_loop()) {
		e = container_of(c->dirty.next, struct entry, dirty);
		link_del(&e->dirty);
		e->is_dirty = 0;
		((struct stats __arena *)e->value)->hits = 0;
		done++;
	}
	return done;
}

static __noinline u64 oldest(struct cache __arena *c)
{
	struct link __arena *l = L(c->by_age.prev);

	if (l == &c->by_age)
		return 0;
	return (u64)container_of(l, struct entry, age);
}

OP0(s32, init)
{
	struct cache __arena *c = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

	if (!c)
		return -12;
	link_init(&c->by_age);
	link_init(&c->dirty);
	cache_at = (u64)c;
	return 0;
}

OP2(s32, init_task, struct task_struct *, p, struct scx_init_task_args *, args)
{
	struct holder *h = bpf_task_storage_get(&holders, p, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	struct cache __arena *c = (struct cache __arena *)cache_at;
	struct entry __arena *e;
	struct stats __arena *s;

	if (!h || !c)
		return -12;
	if (c->entries > 100) {
		e = (struct entry __arena *)oldest(c);
		if (!e)
			return -12;
		link_del(&e->age);
		s = (struct stats __arena *)e->value;
	} else {
		e = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		s = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!e || !s)
			return -12;
		c->entries++;
	}
	s->of = (u64)e;
	s->task = (u64)p;
	e->value = (u64)s;
	e->up = (u64)c;
	e->key = p->pid;
	link_init(&e->dirty);
	link_add(&e->age, &c->by_age);
	h->entry = (u64)e;
	return 0;
}

OP1(void, running, struct task_struct *, p)
{
	struct holder *h = bpf_task_storage_get(&holders, p, NULL, 0);
	struct entry __arena *e;

	if (!h || !h->entry)
		return;
	e = (struct entry __arena *)h->entry;
	((struct stats __arena *)e->value)->hits++;
	touch((struct cache __arena *)e->up, e);
}

OP2(void, dispatch, s32, cpu, struct task_struct *, prev)
{
	struct cache __arena *c = (struct cache __arena *)cache_at;

	if (!c)
		return;
	if (c->now)
		((struct stats __arena *)((struct entry __arena *)c->now)->value)->hits++;
	flush(c);
}

DESCRIBE(stats);
OPS(DO(init), DO(init_task), DO(running), DO(dispatch), .name = "intrusive");
LICENSE();
