// SPDX-License-Identifier: GPL-2.0
/* One hash table for values of any kind: those of tasks are looked into, those of
 * groups are handed on. What a group's place holds is no task's. */
#include "suite.h"
ARENA_MAP;

struct pair {
	u64 key; /* truth: pair.key number */
	u64 val; /* truth: pair.val different */
	u64 next; /* truth: pair.next -> struct pair (arena) */
};
struct table {
	u64 chains[16]; /* truth: table.chains[] -> struct pair (arena) */
	u64 spare; /* truth: table.spare -> struct pair (arena) */
	u64 nr; /* truth: table.nr number */
};
struct tstat {
	u64 runs; /* truth: tstat.runs number */
	u32 pid;
	u32 prio;
};
struct gstat {
	u32 id;
	u32 level;
	u64 usage; /* truth: gstat.usage number */
};
struct tref {
	u64 stat; /* truth: tref.stat -> struct tstat (arena) */
};
TASK_MAP(trefs, struct tref);

struct table __arena *tasks;
struct table __arena *groups;
struct pair __arena *typed_pair;
struct tstat __arena *typed_tstat;
struct gstat __arena *typed_gstat;
u64 last_group; /* truth: .bss.last_group -> struct gstat (arena) */
u64 idle_group; /* truth: .bss.idle_group any */

static __noinline int table_put(struct table __arena *t, u64 key, u64 val)
{
	struct pair __arena *p = (struct pair __arena *)t->spare;

	if (p)
		t->spare = p->next;
	else
		p = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!p)
		return -1;
	p->key = key;
	p->val = val;
	p->next = t->chains[key & 15];
	t->chains[key & 15] = (u64)p;
	t->nr++;
	return 0;
}

static __noinline u64 table_get(struct table __arena *t, u64 key)
{
	struct pair __arena *p = (struct pair __arena *)t->chains[key & 15];

	for_times(i, 32) {
		if (!p)
			break;
		if (p->key == key)
			return p->val;
		p = (struct pair __arena *)p->next;
	}
	return 0;
}

SEC("struct_ops/init_task")
int init_task(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct tref *ref = bpf_task_storage_get(&trefs, p, NULL, 1);
	struct tstat __arena *ts;
	struct gstat __arena *gs;

	if (!ref)
		return 1;
	if (!tasks)
		tasks = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!groups)
		groups = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	ts = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	gs = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!tasks || !groups || !ts || !gs)
		return 1;
	ts->pid = p->pid;
	ts->prio = 7;
	ref->stat = (u64)ts;
	gs->id = p->pid & 3;
	gs->level = 1;
	last_group = (u64)gs;
	return table_put(tasks, p->pid, (u64)ts) | table_put(groups, gs->id, (u64)gs);
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct tref *ref = bpf_task_storage_get(&trefs, p, NULL, 0);
	struct tstat __arena *ts;

	if (!ref || !tasks || !groups)
		return;
	ts = (struct tstat __arena *)table_get(tasks, p->pid);
	if (!ts)
		ts = (struct tstat __arena *)ref->stat;
	if (ts)
		ts->runs++;
	idle_group = table_get(groups, p->pid & 3);
}

SCHED(.enqueue = (void *)enqueue, .init_task = (void *)init_task);
