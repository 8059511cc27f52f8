// SPDX-License-Identifier: GPL-2.0
/* Lists by index: what is called next, prev, head and free are numbers of
 * elements in a table, or offsets in the arena, and no addresses. Only the
 * table's own place is one. */
#include "scx.h"

#define NR 512
#define NIL (~0ULL)

LICENSE();
ARENA(64);

struct slot {
	u64 next; /* none slot.next */
	u64 prev; /* none slot.prev */
	u64 vtime; /* none slot.vtime */
	u64 task; /* the pid */ /* none slot.task */
	u64 data; /* offset of the payload */ /* none slot.data */
};

struct index_list {
	u64 head; /* none index_list.head */
	u64 tail; /* none index_list.tail */
	u64 free; /* none index_list.free */
	u64 table; /* truth index_list.table -> struct slot (arena) */
	u64 payloads; /* truth index_list.payloads -> struct payload (arena) */
};

struct payload {
	u64 first_run;
	u64 last_run;
	u32 runs;
	u32 cpu;
};

struct index_list list;
MAP(where, BPF_MAP_TYPE_HASH, NR, s32, u64); /* none where */

static __noinline struct slot __arena *slot_at(struct index_list *l, u64 i)
{
	if (i >= NR || !l->table)
		return NULL;
	return (struct slot __arena *)l->table + i;
}

static __noinline struct payload __arena *payload_at(struct index_list *l, u64 off)
{
	return (struct payload __arena *)(l->payloads + off);
}

static __noinline u64 take(struct index_list *l)
{
	u64 i = l->free;
	struct slot __arena *s = slot_at(l, i), *last;

	if (!s)
		return NIL;
	l->free = s->next;
	s->next = NIL;
	s->prev = l->tail;
	last = slot_at(l, l->tail);
	if (last)
		last->next = i;
	else
		l->head = i;
	l->tail = i;
	return i;
}

OP0(s32, init)
{
	struct slot __arena *s;
	u64 i;

	list.table = (u64)bpf_arena_alloc_pages(&arena, NULL, 6, -1, 0);
	list.payloads = (u64)bpf_arena_alloc_pages(&arena, NULL, 4, -1, 0);
	if (!list.table || !list.payloads)
		return -12;
	list.head = NIL;
	list.tail = NIL;
	for (i = 0; i < NR && can_loop(); i++) {
		s = slot_at(&list, i);
		if (!s)
			return -22;
		s->next = i + 1;
		s->data = i * sizeof(struct payload);
	}
	return 0;
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	u64 i = take(&list);
	struct slot __arena *s = slot_at(&list, i);
	struct payload __arena *pay;
	s32 pid = p->pid;

	if (!s)
		return;
	s->task = pid;
	s->vtime = p->scx.dsq_vtime;
	pay = payload_at(&list, s->data);
	pay->last_run = bpf_ktime_get_ns();
	pay->runs++;
	bpf_map_update_elem(&where, &pid, &i, 0);
}

OP2(void, dispatch, s32, cpu, struct task_struct *, prev)
{
	u64 i = list.head;
	struct slot __arena *s = slot_at(&list, i), *next;

	if (!s)
		return;
	list.head = s->next;
	next = slot_at(&list, s->next);
	if (next)
		next->prev = NIL;
	else
		list.tail = NIL;
	s->next = list.free;
	list.free = i;
}

OPS(DO(init), DO(enqueue), DO(dispatch), .name = "index_list");
