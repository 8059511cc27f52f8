// SPDX-License-Identifier: GPL-2.0
/* A min-heap of pointers by deadline and a ring for what is already late, for each LLC. */
#include "../heldout/scx.h"

LICENSE();
ARENA(1024);

#define HEAP_MAX 256
#define RING_MAX 128

struct edf_task {
	u64 deadline; /* none edf_task.deadline */
	u64 llc; /* truth edf_task.llc -> struct edf_llc (arena) */
	u64 index; /* in the heap */ /* none edf_task.index */
	s32 pid;
	u32 period;
};
DESCRIBE(edf_task);

struct minheap {
	u64 nr;
	u64 limit; /* none minheap.limit */
	u64 at[HEAP_MAX]; /* truth minheap.at[] -> struct edf_task (arena) */
};

struct lring {
	u64 head; /* none lring.head */
	u64 tail; /* none lring.tail */
	u64 slots[RING_MAX]; /* truth lring.slots[] -> struct edf_task (arena) */
};

struct edf_llc {
	u64 heap; /* truth edf_llc.heap -> struct minheap (arena) */
	u64 late; /* truth edf_llc.late -> struct lring (arena) */
	u64 neighbour; /* truth edf_llc.neighbour -> struct edf_llc (arena) */
	u64 cpu_mask; /* none edf_llc.cpu_mask */
};
DESCRIBE(edf_llc);

u64 llc_of[8]; /* truth .bss.llc_of[] -> struct edf_llc (arena) */

MAP(edf_tasks, BPF_MAP_TYPE_LRU_HASH, 8192, s32, u64); /* truth edf_tasks -> struct edf_task (arena) */

#define PARENT(i) (((i) - 1) / 2)
#define T(h, i) ((struct edf_task __arena *)(h)->at[(i) & (HEAP_MAX - 1)])
#define SET(h, i, t) do { (h)->at[(i) & (HEAP_MAX - 1)] = (u64)(t); (t)->index = (i); } while (0)

static __noinline int heap_push(struct minheap __arena *h, struct edf_task __arena *t)
{
	struct edf_task __arena *up;
	u64 i = h->nr;

	if (i >= h->limit)
		return -28;
	h->nr = i + 1;
	while (i && can_loop()) {
		up = T(h, PARENT(i));
		if (!up || up->deadline <= t->deadline)
			break;
		SET(h, i, up);
		i = PARENT(i);
	}
	SET(h, i, t);
	return 0;
}

static __noinline struct edf_task __arena *heap_pop(struct minheap __arena *h)
{
	struct edf_task __arena *top, *last, *a, *b;
	u64 i = 0, kid;

	if (!h->nr)
		return NULL;
	top = T(h, 0);
	last = T(h, --h->nr);
	h->at[h->nr & (HEAP_MAX - 1)] = 0;
	if (!last || last == top)
		return top;
	for (; can_loop(); i = kid) {
		kid = 2 * i + 1;
		if (kid >= h->nr)
			break;
		a = T(h, kid);
		if (kid + 1 < h->nr) {
			b = T(h, kid + 1);
			if (b && a && b->deadline < a->deadline) {
				a = b;
				kid++;
			}
		}
		if (!a || last->deadline <= a->deadline)
			break;
		SET(h, i, a);
	}
	SET(h, i, last);
	return top;
}

static __noinline int ring_put(struct lring __arena *r, u64 t)
{
	if (r->head - r->tail >= RING_MAX)
		return -28;
	r->slots[r->head & (RING_MAX - 1)] = t;
	r->head++;
	return 0;
}

static __noinline u64 ring_get(struct lring __arena *r)
{
	u64 t;

	if (r->head == r->tail)
		return 0;
	t = r->slots[r->tail & (RING_MAX - 1)];
	r->slots[r->tail & (RING_MAX - 1)] = 0;
	r->tail++;
	return t;
}

static struct edf_llc __arena *edf_llc_new(u64 neighbour)
{
	struct edf_llc __arena *l = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	struct minheap __arena *h = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

	if (!l || !h)
		return NULL;
	h->limit = HEAP_MAX;
	l->heap = (u64)h;
	l->late = (u64)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	l->neighbour = neighbour;
	return l;
}

OP0(s32, init)
{
	struct edf_llc __arena *l;
	u64 before = 0;
	int i;

	for (i = 0; i < 8; i++) {
		l = edf_llc_new(before);
		if (!l)
			return -12;
		l->cpu_mask = 0x0fULL << (4 * i);
		llc_of[i] = before = (u64)l;
	}
	return 0;
}

OP2(s32, init_task, struct task_struct *, p, struct scx_init_task_args *, args)
{
	struct edf_task __arena *t = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	s32 pid = p->pid;
	u64 val = (u64)t;

	if (!t)
		return -12;
	t->pid = pid;
	t->period = 10000000;
	t->llc = llc_of[pid & 7];
	bpf_map_update_elem(&edf_tasks, &pid, &val, 0);
	return 0;
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	s32 pid = p->pid;
	u64 *v = bpf_map_lookup_elem(&edf_tasks, &pid), now = bpf_ktime_get_ns();
	struct edf_task __arena *t;
	struct edf_llc __arena *l;

	if (!v || !*v)
		return;
	t = (struct edf_task __arena *)*v;
	l = (struct edf_llc __arena *)t->llc;
	if (!l)
		return;
	if (t->deadline < now && l->late) {
		if (!ring_put((struct lring __arena *)l->late, (u64)t))
			return;
	}
	t->deadline = now + t->period;
	heap_push((struct minheap __arena *)l->heap, t);
}

OP2(void, dispatch, s32, cpu, struct task_struct *, prev)
{
	struct edf_llc __arena *l = (struct edf_llc __arena *)llc_of[cpu & 7];
	struct edf_task __arena *t;
	struct task_struct *p;
	int tries;

	for (tries = 0; l && tries < 8; tries++) {
		t = (struct edf_task __arena *)ring_get((struct lring __arena *)l->late);
		if (!t)
			t = heap_pop((struct minheap __arena *)l->heap);
		if (t)
			goto found;
		l = (struct edf_llc __arena *)l->neighbour;
	}
	return;
found:
	p = bpf_task_from_pid(t->pid);
	if (!p)
		return;
	scx_bpf_dsq_insert(p, SCX_DSQ_GLOBAL, SCX_SLICE_DFL, 0);
	bpf_task_release(p);
}

OPS(DO(init), DO(init_task), DO(enqueue), DO(dispatch), .name = "heap_deadline");
