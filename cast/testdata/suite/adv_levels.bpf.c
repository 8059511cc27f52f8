// SPDX-License-Identifier: GPL-2.0
/* One type of node for the machine's levels, whose payload is of another type at each;
 * nodes above a known one are found through it only. */
#include "suite.h"
ARENA_MAP;

struct level {
	u64 above; /* truth: level.above -> struct level (arena) */
	u64 below[4]; /* truth: level.below[] -> struct level (arena) */
	u64 payload; /* truth: level.payload different */
	u64 key; /* truth: level.key number */
	u32 depth;
	u32 nr;
};
struct socket_info {
	u64 pressure; /* truth: socket_info.pressure number */
	u64 watts; /* truth: socket_info.watts number */
	u32 nr_groups;
};
struct group_info {
	u32 nr_cpus;
	u32 flags;
	u64 min_vtime; /* truth: group_info.min_vtime number */
	u64 queued[4]; /* truth: group_info.queued[] number */
};
struct cpu_info {
	u32 cpu;
	u32 kicks;
	u64 idle_at; /* truth: cpu_info.idle_at number */
	u64 seat; /* truth: cpu_info.seat -> struct level (arena) */
};
struct socket_info __arena *some_socket;
struct group_info __arena *some_group;
struct cpu_info __arena *some_cpu;
struct level __arena *top;
u64 seats[64]; /* truth: .bss.seats[] -> struct level (arena) */

static __noinline struct level __arena *grow(struct level __arena *above, u64 key)
{
	struct level __arena *l = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

	if (!l)
		return NULL;
	l->key = key;
	l->above = (u64)above;
	l->depth = 0;
	if (above) {
		l->depth = above->depth + 1;
		above->below[above->nr++ & 3] = (u64)l;
	}
	return l;
}

SEC("struct_ops/init_task")
void init_task(u64 *ctx)
{
	struct level __arena *socket = NULL, *group = NULL, *seat;
	struct socket_info __arena *si;
	struct group_info __arena *gi;
	struct cpu_info __arena *ci;

	top = grow(NULL, 0);
	if (!top)
		return;
	for_times(i, 64) {
		if (!(i & 31)) {
			socket = grow(top, i);
			si = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
			if (!socket || !si)
				return;
			si->watts = 65;
			si->nr_groups = 4;
			socket->payload = (u64)si;
		}
		if (!(i & 7)) {
			group = grow(socket, i);
			gi = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
			if (!group || !gi)
				return;
			gi->nr_cpus = 8;
			gi->queued[i & 3] = 0;
			group->payload = (u64)gi;
		}
		seat = grow(group, i);
		ci = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!seat || !ci)
			return;
		ci->cpu = i;
		ci->idle_at = bpf_ktime_get_ns();
		ci->seat = (u64)seat;
		seat->payload = (u64)ci;
		seats[i] = (u64)seat;
	}
}

SEC("struct_ops/dispatch")
void dispatch(u64 *ctx)
{
	struct level __arena *l = (struct level __arena *)seats[bpf_get_smp_processor_id() & 63], *up;
	struct socket_info __arena *si;
	struct group_info __arena *gi;
	struct cpu_info __arena *ci;

	if (!l)
		return;
	ci = (struct cpu_info __arena *)l->payload;
	if (ci && ci->seat)
		ci->kicks = ((struct level __arena *)ci->seat)->depth;
	up = (struct level __arena *)l->above;
	if (!up)
		return;
	gi = (struct group_info __arena *)up->payload;
	if (gi)
		gi->min_vtime += 1000;
	up = (struct level __arena *)up->above;
	if (up && up->payload) {
		si = (struct socket_info __arena *)up->payload;
		si->pressure += 10;
	}
}

SCHED(.init_task = (void *)init_task, .dispatch = (void *)dispatch);
