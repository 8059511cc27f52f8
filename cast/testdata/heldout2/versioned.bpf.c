// SPDX-License-Identifier: GPL-2.0
/*
 * Words that have addresses in them and are none: counted tops of lock-free stacks,
 * handles, parents with a colour, a list by XOR. What is in plain use stands beside them.
 */
#include "../heldout/scx.h"

LICENSE();
ARENA(1024);

#define ADDR_MASK 0x0000ffffffffffffULL
#define COUNT_SHIFT 48

struct vnode {
	u64 hash; /* none vnode.hash */
	u64 below; /* truth vnode.below -> struct vnode (arena) */
	u64 both; /* the neighbours' addresses by XOR */ /* none vnode.both */
	u64 ent; /* truth vnode.ent -> struct vent (arena) */
	u64 handle; /* none vnode.handle */
};

struct vstack {
	u64 top; /* address and count of changes */ /* none vstack.top */
	u64 first; /* truth vstack.first -> struct vnode (arena) */
	u64 last; /* truth vstack.last -> struct vnode (arena) */
	u64 limit; /* none vstack.limit */
};

struct vent {
	u64 load;
	u64 owner_word; /* the owner's address, and whether it holds the lock */ /* none vent.owner_word */
	u64 node; /* truth vent.node -> struct vnode (arena) */
	u64 dsq_id; /* none vent.dsq_id */
};

struct vtable {
	u64 word[256]; /* an entry's address or a number, by the lowest bit */ /* none vtable.word[] */
	u64 cached; /* truth vtable.cached -> struct vent (arena) */
	u64 cached_hash; /* none vtable.cached_hash */
};

struct vref {
	u64 handle; /* none vref.handle */
	u64 ent; /* truth vref.ent -> struct vent (arena) */
};

STORAGE(vrefs, BPF_MAP_TYPE_TASK_STORAGE, struct vref);

struct vstack stack = { .limit = 4096 };
struct vtable __arena *table;

static __noinline struct vnode __arena *vpop(struct vstack *s)
{
	struct vnode __arena *n;
	u64 old, new;

	while (can_loop()) {
		old = READ_ONCE(s->top);
		n = (struct vnode __arena *)(old & ADDR_MASK);
		if (!n)
			return NULL;
		new = n->below | ((old >> COUNT_SHIFT) + 1) << COUNT_SHIFT;
		if (cmpxchg(&s->top, old, new) == old)
			return n;
	}
	return NULL;
}

static __noinline void vpush(struct vstack *s, struct vnode __arena *n)
{
	u64 old;

	while (can_loop()) {
		old = READ_ONCE(s->top);
		n->below = old & ADDR_MASK;
		if (cmpxchg(&s->top, old, (u64)n | ((old >> COUNT_SHIFT) + 1) << COUNT_SHIFT) == old)
			return;
	}
}

static __noinline void xor_append(struct vstack *s, struct vnode __arena *n)
{
	struct vnode __arena *last = (struct vnode __arena *)s->last;

	n->both = (u64)last;
	if (last)
		last->both ^= (u64)n;
	else
		s->first = (u64)n;
	s->last = (u64)n;
}

static __noinline u64 xor_load(struct vstack *s)
{
	struct vnode __arena *n = (struct vnode __arena *)s->first;
	u64 before = 0, sum = 0, next;

	while (n && can_loop()) {
		if (n->ent)
			sum += ((struct vent __arena *)n->ent)->load;
		next = n->both ^ before;
		before = (u64)n;
		n = (struct vnode __arena *)next;
	}
	return sum;
}

static __noinline int vlock(struct vent __arena *e, struct task_struct *p)
{
	u64 me = (u64)p | 1;

	while (cmpxchg(&e->owner_word, 0, me))
		if (!can_loop())
			return -110;
	return 0;
}

static __noinline struct vent __arena *by_handle(u64 handle)
{
	u64 word;

	if (!table)
		return NULL;
	word = table->word[handle & 255];
	if (word & 1)
		return NULL;
	return (struct vent __arena *)word;
}

OP0(s32, init)
{
	struct vnode __arena *nodes = bpf_arena_alloc_pages(&arena, NULL, 4, -1, 0);
	u32 i;

	table = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!table || !nodes)
		return -12;
	for (i = 0; i < 256 && can_loop(); i++) {
		table->word[i] = (u64)(i + 1) << 1 | 1;
		vpush(&stack, &nodes[i]);
	}
	return 0;
}

OP2(s32, init_task, struct task_struct *, p, struct scx_init_task_args *, args)
{
	struct vref *r = bpf_task_storage_get(&vrefs, p, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	struct vnode __arena *n = vpop(&stack);
	struct vent __arena *e;
	u64 slot = p->pid & 255;

	if (!r || !n || !table)
		return -12;
	e = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!e)
		return -12;
	n->hash = p->start_time * 0x9E3779B97F4A7C15ULL;
	n->handle = slot | (table->word[slot] >> 1) << 8;
	n->ent = (u64)e;
	e->node = (u64)n;
	e->dsq_id = 0x100 + slot;
	table->word[slot] = (u64)e;
	r->handle = n->handle;
	r->ent = (u64)e;
	xor_append(&stack, n);
	return 0;
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	struct vref *r = bpf_task_storage_get(&vrefs, p, NULL, 0);
	struct vent __arena *e, *cached;
	struct vnode __arena *n;

	if (!r || !table)
		return;
	e = by_handle(r->handle);
	if (!e)
		e = (struct vent __arena *)r->ent;
	if (!e || vlock(e, p))
		return;
	cached = (struct vent __arena *)table->cached;
	n = (struct vnode __arena *)e->node;
	if (n && (!cached || cached->load < e->load)) {
		table->cached = (u64)e;
		table->cached_hash = n->hash;
	}
	e->load += xor_load(&stack) / stack.limit;
	WRITE_ONCE(e->owner_word, 0);
	scx_bpf_dsq_insert(p, e->dsq_id, SCX_SLICE_DFL, flags);
}

OP2(void, exit_task, struct task_struct *, p, struct scx_exit_task_args *, args)
{
	struct vref *r = bpf_task_storage_get(&vrefs, p, NULL, 0);
	struct vent __arena *e;

	if (!r || !r->ent)
		return;
	e = (struct vent __arena *)r->ent;
	if (e->node) {
		((struct vnode __arena *)e->node)->ent = 0;
		e->node = 0;
	}
	r->ent = 0;
}

OPS(DO(init), DO(init_task), DO(enqueue), DO(exit_task), .name = "versioned");
