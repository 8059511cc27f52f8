/* SPDX-License-Identifier: GPL-2.0 */
/* A binary heap of pointers to arena objects by their deadline, one heap for each
 * domain. An object knows its place in the heap. */
#include "scx.h"

#define DOMS 4

ARENA_MAP(arena);

struct entity {
	u64 deadline;
	u32 index;
	s32 pid;
	struct domain __arena *dom;
	struct entity __arena *next_free;
	u64 waker; /* truth: entity.waker -> struct entity (arena) */
};

typedef struct entity __arena entity_t;

struct domain {
	entity_t *__arena *slots;
	u32 nr;
	u32 cap;
	u64 current; /* truth: domain.current -> struct entity (arena) */
	struct domain __arena *sibling;
};

typedef struct domain __arena domain_t;

struct handle {
	u64 entity; /* truth: handle.entity -> struct entity (arena) */
	u64 runs;
};

struct {
	__uint(type, HASH);
	__uint(max_entries, 4096);
	__type(key, s32);
	__type(value, struct handle);
} handles SEC(".maps");

domain_t *domains[DOMS];
entity_t *free_entities;
u64 idle_dom; /* truth: .bss.idle_dom -> struct domain (arena) */

static void put(domain_t *dom, u32 i, entity_t *e)
{
	dom->slots[i] = e;
	e->index = i;
}

static void sift_up(domain_t *dom, u32 i)
{
	entity_t *e = dom->slots[i], *up;

	for (u32 n = 0; n < 20 && i; n++) {
		up = dom->slots[(i - 1) / 2];
		if (up->deadline <= e->deadline)
			break;
		put(dom, i, up);
		i = (i - 1) / 2;
	}
	put(dom, i, e);
}

static void sift_down(domain_t *dom, u32 i)
{
	entity_t *e = dom->slots[i], *kid;
	u32 k;

	for (u32 n = 0; n < 20; n++) {
		k = 2 * i + 1;
		if (k >= dom->nr)
			break;
		kid = dom->slots[k];
		if (k + 1 < dom->nr && dom->slots[k + 1]->deadline < kid->deadline)
			kid = dom->slots[++k];
		if (e->deadline <= kid->deadline)
			break;
		put(dom, i, kid);
		i = k;
	}
	put(dom, i, e);
}

SEC("struct_ops/minheap_enqueue")
int minheap_enqueue(u64 *ctx)
{
	struct task_struct *p = (struct task_struct *)ARG(ctx, 0);
	domain_t *dom = domains[p->pid & (DOMS - 1)];
	s32 pid = p->pid;
	struct handle *h = bpf_map_lookup_elem(&handles, &pid), made = {};
	entity_t *e = free_entities;

	if (!dom || dom->nr >= dom->cap)
		return -EINVAL;
	if (h && h->entity) {
		e = (entity_t *)h->entity;
		h->runs++;
	} else {
		if (!e)
			return -ENOMEM;
		free_entities = e->next_free;
		made.entity = (u64)e;
		bpf_map_update_elem(&handles, &pid, &made, 0);
	}
	e->pid = pid;
	e->dom = dom;
	e->deadline = p->start_time;
	e->waker = dom->current;
	put(dom, dom->nr, e);
	sift_up(dom, dom->nr++);
	return 0;
}

SEC("struct_ops/minheap_dispatch")
int minheap_dispatch(u64 *ctx)
{
	domain_t *dom = domains[ARG(ctx, 0) & (DOMS - 1)];
	entity_t *e, *waker;

	if (!dom)
		return 0;
	if (!dom->nr) {
		idle_dom = (u64)dom;
		dom = dom->sibling;
		if (!dom || !dom->nr)
			return 0;
	}
	e = dom->slots[0];
	dom->current = (u64)e;
	put(dom, 0, dom->slots[--dom->nr]);
	sift_down(dom, 0);
	waker = (entity_t *)e->waker;
	if (waker && waker->deadline > e->deadline)
		e->dom->cap--;
	dom = (domain_t *)idle_dom;
	return dom ? (int)dom->cap : e->pid;
}

SEC("syscall")
int minheap_init(void *ctx)
{
	entity_t *batch = bpf_arena_alloc_pages(&arena, NULL, 4, -1, 0);
	domain_t *dom, *last = NULL;

	if (!batch)
		return -ENOMEM;
	for (u32 i = 0; i < 4 * PAGE / sizeof(*batch); i++) {
		batch[i].next_free = free_entities;
		free_entities = &batch[i];
	}
	for (u32 i = 0; i < DOMS; i++) {
		dom = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!dom)
			return -ENOMEM;
		dom->slots = bpf_arena_alloc_pages(&arena, NULL, 2, -1, 0);
		dom->cap = 2 * PAGE / 8;
		dom->sibling = last;
		last = domains[i] = dom;
	}
	return 0;
}

SEC(".struct_ops.link")
struct test_ops minheap_ops = {
	.enqueue = (void *)minheap_enqueue,
	.dispatch = (void *)minheap_dispatch,
};
