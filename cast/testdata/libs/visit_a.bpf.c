/* SPDX-License-Identifier: GPL-2.0 */
/* The library's unit. */
#include "visit.h"

u64 page_at;		/* may .bss.page_at -> struct vnode (arena) */
u64 spare_nodes;	/* truth .bss.spare_nodes -> struct vnode (arena) */

__weak int vlist_give_page(u64 page)
{
	struct vnode __arena *n = (struct vnode __arena *)page;
	int i;

	page_at = page;
	for (i = 0; i < 4096 / sizeof(*n) && can_loop(); i++) {
		n[i].next = spare_nodes;
		spare_nodes = (u64)&n[i];
	}
	return i;
}

__weak int vlist_add(struct vlist __arena *l, u64 data, u64 hash)
{
	struct vnode __arena *n = (struct vnode __arena *)spare_nodes;

	if (!n)
		return -12;
	spare_nodes = n->next;
	n->next = 0;
	n->data = data;
	n->hash = hash;
	if (l->tail)
		((struct vnode __arena *)l->tail)->next = (u64)n;
	else
		l->head = (u64)n;
	l->tail = (u64)n;
	l->length++;
	return 0;
}

/* What one step of the search has and leaves. */
struct search {
	u64 at;		/* truth search.at -> struct vnode (arena) */
	u64 list;	/* truth search.list -> struct vlist (arena) */
	u64 hash;
	u64 found;	/* none search.found */
};

static long search_step(u32 i, struct search *s)
{
	struct vnode __arena *n = (struct vnode __arena *)s->at;

	if (!n)
		return 1;
	if (n->hash == s->hash) {
		s->found = n->data;
		((struct vlist __arena *)s->list)->cursor = (u64)n;
		return 1;
	}
	s->at = n->next;
	return 0;
}

__weak u64 vlist_find(struct vlist __arena *l, u64 hash)
{
	struct search s = { .at = l->head, .list = (u64)l, .hash = hash };

	bpf_loop(l->length & 0xffff, search_step, &s, 0);
	return s.found;
}

__weak u64 vlist_shift(struct vlist __arena *l)
{
	struct vnode __arena *n = (struct vnode __arena *)l->head;
	u64 data;

	if (!n)
		return 0;
	l->head = n->next;
	if (!l->head)
		l->tail = 0;
	data = n->data;
	n->next = spare_nodes;
	spare_nodes = (u64)n;
	l->length--;
	return data;
}

DESCRIBE(vnode);
LICENSE();
