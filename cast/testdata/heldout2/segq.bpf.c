// SPDX-License-Identifier: GPL-2.0
/* Queues of tasks in segments of 60. A queue keeps one empty segment in reserve. */
#include "../heldout/scx.h"

LICENSE();
ARENA(4096);

#define SEG_SLOTS 60

struct qseg {
	u64 prev; /* truth qseg.prev -> struct qseg (arena) */
	u64 next; /* truth qseg.next -> struct qseg (arena) */
	u64 item[SEG_SLOTS]; /* truth qseg.item[] -> struct qtask (arena) */
	u32 lo, hi;
};

struct segq {
	u64 first; /* truth segq.first -> struct qseg (arena) */
	u64 last; /* truth segq.last -> struct qseg (arena) */
	u64 current; /* truth segq.current -> struct qseg (arena) */
	u64 reserve; /* truth segq.reserve -> struct qseg (arena) */
	u64 capacity; /* none segq.capacity */
	u64 nr;
};

struct qtask {
	u64 queue; /* truth qtask.queue -> struct segq (arena) */
	u64 seq; /* none qtask.seq */
	u64 enq_flags; /* none qtask.enq_flags */
	s32 pid;
};

struct qtask_val {
	u64 qt; /* truth qtask_val.qt -> struct qtask (arena) */
};

STORAGE(qtasks, BPF_MAP_TYPE_TASK_STORAGE, struct qtask_val);

struct segq __arena *normal;
struct segq __arena *urgent;
u64 sequence; /* none .bss.sequence */

#define SEG(v) ((struct qseg __arena *)(v))

static __noinline struct qseg __arena *seg_get(struct segq __arena *q)
{
	struct qseg __arena *s = SEG(q->reserve);

	if (s) {
		q->reserve = 0;
	} else {
		s = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!s)
			return NULL;
		q->capacity += SEG_SLOTS;
	}
	s->prev = s->next = 0;
	s->lo = s->hi = 0;
	return s;
}

static __noinline void seg_put(struct segq __arena *q, struct qseg __arena *s)
{
	if (!q->reserve) {
		q->reserve = (u64)s;
		return;
	}
	q->capacity -= SEG_SLOTS;
	bpf_arena_free_pages(&arena, s, 1);
}

static __noinline int segq_push(struct segq __arena *q, struct qtask __arena *t)
{
	struct qseg __arena *s = SEG(q->last), *n;

	if (!s || s->hi >= SEG_SLOTS) {
		n = seg_get(q);
		if (!n)
			return -12;
		n->prev = (u64)s;
		if (s)
			s->next = (u64)n;
		else
			q->first = (u64)n;
		q->last = (u64)n;
		s = n;
	}
	if (s->hi >= SEG_SLOTS)
		return -7;
	s->item[s->hi++] = (u64)t;
	t->queue = (u64)q;
	q->nr++;
	q->current = (u64)s;
	return 0;
}

static __noinline struct qtask __arena *segq_pop(struct segq __arena *q)
{
	struct qseg __arena *s = SEG(q->first), *next;
	struct qtask __arena *t = NULL;

	while (s && can_loop()) {
		if (s->lo < s->hi && s->lo < SEG_SLOTS) {
			t = (struct qtask __arena *)s->item[s->lo++];
			q->nr--;
			if (t)
				break;
			continue;
		}
		next = SEG(s->next);
		q->first = (u64)next;
		if (next)
			next->prev = 0;
		else
			q->last = 0;
		if (q->current == (u64)s)
			q->current = (u64)next;
		seg_put(q, s);
		s = next;
	}
	return t;
}

static __noinline void segq_forget(struct segq __arena *q, struct qtask __arena *t)
{
	struct qseg __arena *s = SEG(q->current);
	u32 i;

	for (; s && can_loop(); s = SEG(s->prev))
		for (i = 0; i < SEG_SLOTS && can_loop(); i++)
			if (s->item[i] == (u64)t)
				s->item[i] = 0;
}

OP0(s32, init)
{
	normal = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	urgent = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!normal || !urgent)
		return -12;
	return 0;
}

OP2(s32, init_task, struct task_struct *, p, struct scx_init_task_args *, args)
{
	struct qtask_val *v = bpf_task_storage_get(&qtasks, p, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	struct qtask __arena *t;

	if (!v)
		return -12;
	t = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!t)
		return -12;
	t->pid = p->pid;
	v->qt = (u64)t;
	return 0;
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	struct qtask_val *v = bpf_task_storage_get(&qtasks, p, NULL, 0);
	struct qtask __arena *t;

	if (!v || !v->qt)
		return;
	t = (struct qtask __arena *)v->qt;
	t->seq = __sync_fetch_and_add(&sequence, 1);
	t->enq_flags = flags;
	segq_push(p->scx.weight > 100 ? urgent : normal, t);
}

OP2(void, dispatch, s32, cpu, struct task_struct *, prev)
{
	struct qtask __arena *t = segq_pop(urgent);
	struct task_struct *p;

	if (!t)
		t = segq_pop(normal);
	if (!t)
		return;
	t->queue = 0;
	p = bpf_task_from_pid(t->pid);
	if (p) {
		scx_bpf_dsq_insert(p, SCX_DSQ_GLOBAL, SCX_SLICE_DFL, t->enq_flags);
		bpf_task_release(p);
	}
}

OP2(void, exit_task, struct task_struct *, p, struct scx_exit_task_args *, args)
{
	struct qtask_val *v = bpf_task_storage_get(&qtasks, p, NULL, 0);
	struct qtask __arena *t;

	if (!v || !v->qt)
		return;
	t = (struct qtask __arena *)v->qt;
	if (t->queue)
		segq_forget((struct segq __arena *)t->queue, t);
	bpf_arena_free_pages(&arena, t, 1);
}

OPS(DO(init), DO(init_task), DO(enqueue), DO(dispatch), DO(exit_task), .name = "segq");
