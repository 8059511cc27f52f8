// SPDX-License-Identifier: GPL-2.0
/* Stacks without locks, by compare and exchange: one with a plain head, one
 * whose head has a version in its upper bits. */
#include "scx.h"

#define VERSION_SHIFT 48
#define ADDR_MASK ((1ULL << VERSION_SHIFT) - 1)

LICENSE();
ARENA(256);

struct tnode {
	u64 next; /* truth tnode.next -> struct tnode (arena) */
	u64 vtime;
	s32 pid;
	u32 tries;
};

struct stack {
	u64 head; /* truth stack.head -> struct tnode (arena) */
	u64 pops;
};

struct vstack {
	u64 head; /* address and version */ /* none vstack.head */
	u64 pushes;
};

struct stack __arena_global ready[8];
struct vstack idle_nodes;
u64 elected; /* exchanged, never linked */ /* truth .bss.elected -> struct tnode (arena) */

static __noinline int push(struct stack __arena *s, struct tnode __arena *n)
{
	u64 old;

	do {
		old = READ_ONCE(s->head);
		n->next = old;
		if (cmpxchg(&s->head, old, (u64)n) == old)
			return 0;
		n->tries++;
	} while (can_loop());
	return -16;
}

static __noinline struct tnode __arena *pop(struct stack __arena *s)
{
	struct tnode __arena *n;

	do {
		n = (struct tnode __arena *)READ_ONCE(s->head);
		if (!n)
			return NULL;
		if (cmpxchg(&s->head, (u64)n, n->next) == (u64)n) {
			__sync_fetch_and_add(&s->pops, 1);
			return n;
		}
	} while (can_loop());
	return NULL;
}

static __noinline int vpush(struct vstack *s, struct tnode __arena *n)
{
	u64 old, new;

	do {
		old = READ_ONCE(s->head);
		n->next = old & ADDR_MASK;
		new = ((old >> VERSION_SHIFT) + 1) << VERSION_SHIFT | ((u64)n & ADDR_MASK);
		if (cmpxchg(&s->head, old, new) == old) {
			s->pushes++;
			return 0;
		}
	} while (can_loop());
	return -16;
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	struct tnode __arena *n = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0), *old;

	if (!n)
		return;
	n->pid = p->pid;
	n->vtime = p->scx.dsq_vtime;
	n->tries = 0;
	if (flags & 1) {
		old = (struct tnode __arena *)xchg(&elected, (u64)n);
		if (!old)
			return;
		n = old;
	}
	push(&ready[scx_bpf_task_cpu(p) & 7], n);
}

OP2(void, dispatch, s32, cpu, struct task_struct *, prev)
{
	struct tnode __arena *n = pop(&ready[cpu & 7]);

	if (!n) {
		n = (struct tnode __arena *)xchg(&elected, 0);
		if (!n)
			return;
	}
	if (n->vtime)
		vpush(&idle_nodes, n);
}

OPS(DO(enqueue), DO(dispatch), .name = "treiber");
