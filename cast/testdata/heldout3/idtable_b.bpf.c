/* SPDX-License-Identifier: GPL-2.0 */
/* Two users of tables by number: timers in one, sessions in another. */
#include "idtable.h"

struct timer {
	u64 expires;
	void __arena *session; /* truth: timer.session -> struct session (arena) */
	struct timer __arena *next;
	u32 id;
};

struct session {
	struct timer __arena *timer;
	u64 task; /* truth: session.task -> struct task_struct (kernel) */
	u64 table; /* truth: session.table -> struct id_table (arena) */
	u32 id;
};

id_table_t *timers;
u64 sessions; /* truth: .bss.sessions -> struct id_table (arena) */
struct timer __arena *armed;

__noinline int arm(u64 session, u64 expires)
{
	struct timer __arena *t = (struct timer __arena *)id_memory(1);
	struct session __arena *s = (struct session __arena *)session;
	int id;

	if (!t || !s)
		return -ENOMEM;
	t->expires = expires;
	t->session = (void __arena *)s;
	t->next = armed;
	armed = t;
	s->timer = t;
	id = id_add(timers, (u64)t);
	t->id = id;
	return id;
}

static __noinline int enter(struct session __arena *s, struct task_struct *p)
{
	s->task = (u64)p;
	s->table = sessions;
	return id_add((id_table_t *)s->table, (u64)s);
}

SEC("struct_ops/idtable_init_task")
int idtable_init_task(u64 *ctx)
{
	struct task_struct *p = (struct task_struct *)ARG(ctx, 0);
	struct session __arena *s = (struct session __arena *)id_memory(1);
	int id;

	if (!s || !sessions || !timers)
		return -ENOMEM;
	id = enter(s, p);
	if (id < 0)
		return id;
	s->id = id;
	return arm((u64)s, p->start_time + 1000);
}

SEC("struct_ops/idtable_dispatch")
int idtable_dispatch(u64 *ctx)
{
	struct timer __arena *t = (struct timer __arena *)id_get(timers, ARG(ctx, 0)), *first = armed;
	struct session __arena *s;

	if (!t || !first)
		return 0;
	s = (struct session __arena *)id_get((id_table_t *)sessions, t->id);
	if (s && s->timer && s->timer->expires < first->expires)
		armed = first->next;
	s = t->session;
	if (!s)
		return 0;
	id_del(s->table, s->id);
	return core_cast(s->task, struct task_struct)->pid;
}

SEC("syscall")
int idtable_init(void *ctx)
{
	timers = (id_table_t *)id_table_new();
	sessions = id_table_new();
	return timers && sessions ? 0 : -ENOMEM;
}

SEC(".struct_ops.link")
struct test_ops idtable_ops = {
	.init_task = (void *)idtable_init_task,
	.dispatch = (void *)idtable_dispatch,
};
