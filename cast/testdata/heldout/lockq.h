/* SPDX-License-Identifier: GPL-2.0 */
/* FIFO queues with a lock, for any element that begins with a link. */
#pragma once
#include "scx.h"

struct qlink {
	u64 next; /* truth qlink.next -> struct qlink (arena) */
};

struct lockq {
	u32 lock;
	u32 len;
	u64 first; /* truth lockq.first -> struct qlink (arena) */
	u64 last; /* truth lockq.last -> struct qlink (arena) */
};

int lockq_put(struct lockq __arena *q, struct qlink __arena *l);
struct qlink __arena *lockq_get(struct lockq __arena *q);
