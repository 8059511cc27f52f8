// SPDX-License-Identifier: GPL-2.0
/* An LRU of task contexts, linked through a member: container_of finds them. */
#include "scx.h"

LICENSE();
ARENA(256);

struct link {
	u64 next; /* truth link.next -> struct link (arena) */
	u64 prev; /* truth link.prev -> struct link (arena) */
};

struct task_ctx {
	s32 pid;
	u32 refs;
	u64 last_run;
	struct link lru;
	u64 burst;
	u64 peer; /* truth task_ctx.peer -> struct task_ctx (arena) */
};

struct lru {
	struct link head;
	u64 nr; /* none lru.nr */
	u64 hand; /* truth lru.hand -> struct task_ctx (arena) */
};

struct lru __arena *lru;
MAP(ctxs, BPF_MAP_TYPE_HASH, 4096, s32, u64); /* truth ctxs -> struct task_ctx (arena) */

static void link_del(struct link __arena *l)
{
	struct link __arena *next = (struct link __arena *)l->next;
	struct link __arena *prev = (struct link __arena *)l->prev;

	next->prev = (u64)prev;
	prev->next = (u64)next;
}

static void link_add(struct link __arena *l, struct link __arena *head)
{
	struct link __arena *first = (struct link __arena *)head->next;

	l->next = (u64)first;
	l->prev = (u64)head;
	first->prev = (u64)l;
	head->next = (u64)l;
}

static __noinline void touch(struct lru __arena *lru, struct task_ctx __arena *taskc)
{
	taskc->last_run = bpf_ktime_get_ns();
	taskc->refs++;
	link_del(&taskc->lru);
	link_add(&taskc->lru, &lru->head);
	lru->hand = (u64)taskc;
}

static __noinline struct task_ctx __arena *coldest(struct lru __arena *lru)
{
	struct link __arena *l = (struct link __arena *)lru->head.prev;

	if (l == &lru->head)
		return NULL;
	return container_of(l, struct task_ctx, lru);
}

OP0(s32, init)
{
	lru = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!lru)
		return -12;
	lru->head.next = (u64)&lru->head;
	lru->head.prev = (u64)&lru->head;
	return 0;
}

OP2(s32, init_task, struct task_struct *, p, struct scx_init_task_args *, args)
{
	struct task_ctx __arena *taskc = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	s32 pid = p->pid;
	u64 v;

	if (!taskc || !lru)
		return -12;
	taskc->pid = pid;
	taskc->refs = 0;
	taskc->burst = 0;
	taskc->peer = lru->hand;
	link_add(&taskc->lru, &lru->head);
	lru->nr++;
	v = (u64)taskc;
	return bpf_map_update_elem(&ctxs, &pid, &v, 0);
}

OP1(void, running, struct task_struct *, p)
{
	s32 pid = p->pid;
	u64 *v = bpf_map_lookup_elem(&ctxs, &pid);
	struct task_ctx __arena *taskc, *peer;

	if (!v || !lru)
		return;
	taskc = (struct task_ctx __arena *)*v;
	if (!taskc)
		return;
	touch(lru, taskc);
	peer = (struct task_ctx __arena *)taskc->peer;
	if (peer)
		peer->burst += taskc->burst >> 3;
}

OP1(void, tick, struct task_struct *, p)
{
	struct task_ctx __arena *cold;

	if (!lru)
		return;
	cold = coldest(lru);
	if (cold && cold->last_run + 1000000000ULL < bpf_ktime_get_ns())
		cold->burst = 0;
}

OPS(DO(init), DO(init_task), DO(running), DO(tick), .name = "lru_tasks");
