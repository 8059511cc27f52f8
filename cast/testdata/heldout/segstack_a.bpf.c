// SPDX-License-Identifier: GPL-2.0
#include "segstack.h"

extern u64 seg_page(void);

static __noinline int segstack_grow(struct segstack __arena *s, struct seg __arena *seg)
{
	struct seg __arena *last = (struct seg __arena *)s->last;

	seg->next = 0;
	seg->prev = (u64)last;
	if (last)
		last->next = (u64)seg;
	else
		s->first = (u64)seg;
	s->last = (u64)seg;
	s->capacity += SEG_ELEMS;
	return 0;
}

__weak int segstack_push(struct segstack __arena *s, void __arena *elem)
{
	struct seg __arena *cur, *next;

	if (!s)
		return -22;
	cur = (struct seg __arena *)s->current;
	if (!cur || s->index >= SEG_ELEMS) {
		next = cur ? (struct seg __arena *)cur->next : NULL;
		if (!next && s->reserve) {
			next = (struct seg __arena *)s->reserve;
			s->reserve = 0;
			segstack_grow(s, next);
		}
		if (!next) {
			next = (struct seg __arena *)seg_page();
			if (!next)
				return -12;
			segstack_grow(s, next);
		}
		s->current = (u64)next;
		s->index = 0;
		cur = next;
	}
	cur->elems[s->index] = elem;
	s->index++;
	return 0;
}

__weak u64 segstack_pop(struct segstack __arena *s)
{
	struct seg __arena *cur, *prev;

	if (!s)
		return 0;
	cur = (struct seg __arena *)s->current;
	if (!cur)
		return 0;
	if (!s->index) {
		prev = (struct seg __arena *)cur->prev;
		if (!prev)
			return 0;
		if (!s->reserve) {
			s->reserve = (u64)cur;
			s->last = (u64)prev;
			prev->next = 0;
		}
		s->current = (u64)prev;
		s->index = SEG_ELEMS;
		cur = prev;
	}
	s->index--;
	return (u64)cur->elems[s->index];
}
