// SPDX-License-Identifier: GPL-2.0
#include "lockq.h"

static __noinline int lockq_lock(struct lockq __arena *q)
{
	while (xchg(&q->lock, 1))
		if (!can_loop())
			return -110;
	return 0;
}

__weak int lockq_put(struct lockq __arena *q, struct qlink __arena *l)
{
	struct qlink __arena *last;

	if (!q || !l || lockq_lock(q))
		return -22;
	l->next = 0;
	last = (struct qlink __arena *)q->last;
	if (last)
		last->next = (u64)l;
	else
		q->first = (u64)l;
	q->last = (u64)l;
	q->len++;
	q->lock = 0;
	return 0;
}

__weak struct qlink __arena *lockq_get(struct lockq __arena *q)
{
	struct qlink __arena *l;

	if (!q || lockq_lock(q))
		return NULL;
	l = (struct qlink __arena *)q->first;
	if (l) {
		q->first = l->next;
		if (!l->next)
			q->last = 0;
		q->len--;
	}
	q->lock = 0;
	return l;
}
