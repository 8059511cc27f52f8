// SPDX-License-Identifier: GPL-2.0
/* Min-heaps of pointers in arrays of the arena, with the elements knowing where they
 * are; sifting swaps them. */
#include "suite.h"
ARENA_MAP;

struct hitem {
	u64 deadline; /* truth: hitem.deadline number */
	u64 heap; /* truth: hitem.heap -> struct pheap2 (arena) */
	u64 pos; /* truth: hitem.pos number */
	u32 pid;
	u32 prio;
};
struct pheap2 {
	u64 elems; /* truth: pheap2.elems any */
	u64 size; /* truth: pheap2.size number */
	u64 cap; /* truth: pheap2.cap number */
	u64 current; /* truth: pheap2.current -> struct hitem (arena) */
};
struct hval {
	u64 item; /* truth: hval.item -> struct hitem (arena) */
};
TASK_MAP(hvals, struct hval);
u64 heaps[8]; /* truth: .bss.heaps[] -> struct pheap2 (arena) */
struct fixed_heap {
	u64 nr; /* truth: fixed_heap.nr number */
	u64 at[32]; /* truth: fixed_heap.at[] -> struct hitem (arena) */
};
struct fixed_heap boosted;
struct hitem __arena *typed_hitem;
struct pheap2 __arena *typed_pheap2;

static void swap_at(u64 __arena *elems, u64 a, u64 b)
{
	u64 tmp = elems[a];
	struct hitem __arena *x, *y;

	elems[a] = elems[b];
	elems[b] = tmp;
	x = (struct hitem __arena *)elems[a];
	y = (struct hitem __arena *)elems[b];
	x->pos = a;
	y->pos = b;
}

static __noinline int heap_push(struct pheap2 __arena *h, struct hitem __arena *it)
{
	u64 __arena *elems = (u64 __arena *)h->elems;
	u64 i = h->size, up;

	if (!elems || i >= h->cap)
		return -1;
	elems[i] = (u64)it;
	it->pos = i;
	it->heap = (u64)h;
	h->size++;
	for_times(n, 16) {
		if (!i)
			break;
		up = (i - 1) / 2;
		if (((struct hitem __arena *)elems[up])->deadline <= it->deadline)
			break;
		swap_at(elems, up, i);
		i = up;
	}
	return 0;
}

static __noinline u64 heap_pop(struct pheap2 __arena *h)
{
	u64 __arena *elems = (u64 __arena *)h->elems;
	u64 top, i = 0, kid;

	if (!elems || !h->size)
		return 0;
	top = elems[0];
	elems[0] = elems[--h->size];
	for_times(n, 16) {
		kid = 2 * i + 1;
		if (kid >= h->size)
			break;
		if (kid + 1 < h->size &&
		    ((struct hitem __arena *)elems[kid + 1])->deadline < ((struct hitem __arena *)elems[kid])->deadline)
			kid++;
		if (((struct hitem __arena *)elems[kid])->deadline >= ((struct hitem __arena *)elems[i])->deadline)
			break;
		swap_at(elems, i, kid);
		i = kid;
	}
	h->current = top;
	return top;
}

SEC("struct_ops/init_task")
int init_task(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct hval *v = bpf_task_storage_get(&hvals, p, NULL, 1);
	struct hitem __arena *it = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	struct pheap2 __arena *h = (struct pheap2 __arena *)heaps[p->pid & 7];

	if (!v || !it)
		return -12;
	if (!h) {
		h = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!h)
			return -12;
		h->elems = (u64)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		h->cap = 512;
		heaps[p->pid & 7] = (u64)h;
	}
	it->pid = p->pid;
	v->item = (u64)it;
	return 0;
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct hval *v = bpf_task_storage_get(&hvals, p, NULL, 0);
	struct hitem __arena *it;
	u64 n;

	if (!v || !v->item || !heaps[p->pid & 7])
		return;
	it = (struct hitem __arena *)v->item;
	it->deadline = bpf_ktime_get_ns() + it->prio;
	if (it->prio > 100) {
		n = boosted.nr++ & 31;
		boosted.at[n] = v->item;
		it->pos = n;
		return;
	}
	heap_push((struct pheap2 __arena *)heaps[p->pid & 7], it);
}

SEC("struct_ops/dispatch")
void dispatch(u64 *ctx)
{
	struct pheap2 __arena *h = (struct pheap2 __arena *)heaps[ARG(ctx, 0) & 7];
	struct hitem __arena *it;
	u64 first;

	if (boosted.nr) {
		boosted.nr--;
		first = boosted.at[boosted.nr & 31];
		it = (struct hitem __arena *)first;
		if (it)
			it->prio--;
		return;
	}
	if (!h)
		return;
	it = (struct hitem __arena *)heap_pop(h);
	if (it)
		it->prio++;
}
SCHED(.init_task = (void *)init_task, .enqueue = (void *)enqueue, .dispatch = (void *)dispatch);
