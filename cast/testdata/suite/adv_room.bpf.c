// SPDX-License-Identifier: GPL-2.0
/* Memory behind a header of words, handed out as a number; what is there, only its
 * users know. */
#include "suite.h"
ARENA_MAP;

struct room {
	u64 gen; /* truth: room.gen number */
	u64 bytes; /* truth: room.bytes number */
	u64 inside[]; /* truth: room.inside[] any */
};
struct hall {
	u64 rooms[32]; /* truth: hall.rooms[] any */
	u64 lent; /* truth: hall.lent number */
};
struct key {
	u64 gen; /* truth: key.gen number */
	u64 room; /* truth: key.room any */
};
struct guest {
	u64 stay; /* truth: guest.stay number */
	u64 host; /* truth: guest.host -> struct guest (arena) */
	u32 pid;
	u32 calls;
};
struct room __arena *some_room;
struct guest __arena *some_guest;
struct hall hall;
u64 latest; /* truth: .bss.latest -> struct guest (arena) */
TASK_MAP(keys, struct key);

static __noinline struct room __arena *room_open(u32 i)
{
	struct room __arena *r = (struct room __arena *)hall.rooms[i & 31];

	if (!r) {
		r = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!r)
			return NULL;
		hall.rooms[i & 31] = (u64)r;
	}
	r->gen += 1;
	r->bytes = 64;
	hall.lent++;
	return r;
}

__attribute__((weak)) u64 room_make(struct task_struct *p)
{
	struct key *k = bpf_task_storage_get(&keys, p, NULL, 1);
	struct room __arena *r;

	if (!k)
		return 0;
	r = room_open(p->pid);
	if (!r)
		return 0;
	k->gen = r->gen;
	k->room = (u64)r;
	return (u64)&r->inside;
}

__attribute__((weak)) u64 room_of(struct task_struct *p)
{
	struct key *k = bpf_task_storage_get(&keys, p, NULL, 0);

	if (!k || !k->room)
		return 0;
	return k->room + sizeof(struct room);
}

SEC("struct_ops/init_task")
void init_task(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct guest __arena *g = (struct guest __arena *)room_make(p);

	if (!g)
		return;
	g->pid = p->pid;
	g->stay = 0;
	g->calls = 0;
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0), *by = bpf_task_from_pid(1);
	struct guest __arena *g = (struct guest __arena *)room_of(p), *h = (struct guest __arena *)room_of(by);

	if (!g)
		return;
	g->host = (u64)h;
	if (h)
		h->calls++;
	latest = (u64)g;
}

SEC("struct_ops/dispatch")
void dispatch(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 1);
	struct guest __arena *g = (struct guest __arena *)room_of(p), *h;

	if (!g)
		return;
	g->stay += 100;
	h = (struct guest __arena *)g->host;
	if (h)
		h->stay += g->stay >> 4;
}

SCHED(.init_task = (void *)init_task, .enqueue = (void *)enqueue, .dispatch = (void *)dispatch);
