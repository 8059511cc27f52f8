// SPDX-License-Identifier: GPL-2.0
/* Virtual times in a skip list of the arena. */
#include "scx.h"

#define LEVELS 4

LICENSE();
ARENA(512);

struct sl_node {
	u64 key; /* none sl_node.key */
	u64 forward[LEVELS]; /* truth sl_node.forward[] -> struct sl_node (arena) */
	u64 back; /* truth sl_node.back -> struct sl_node (arena) */
	u64 p; /* truth sl_node.p -> struct task_struct (kernel) */
	u32 height;
};
DESCRIBE(sl_node);

struct skiplist {
	u64 head; /* truth skiplist.head -> struct sl_node (arena) */
	u64 finger; /* truth skiplist.finger -> struct sl_node (arena) */
	u64 nr;
	u64 seed; /* none skiplist.seed */
};

struct skiplist __arena_global vtimes;

static struct sl_node __arena *sl_new(u64 key, u32 height)
{
	struct sl_node __arena *n = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

	if (!n)
		return NULL;
	n->key = key;
	n->height = height;
	return n;
}

static __noinline int sl_insert(struct skiplist __arena *l, u64 key, struct task_struct *p)
{
	struct sl_node __arena *at = (struct sl_node __arena *)l->head, *n, *next;
	u32 height;
	int level;

	l->seed = l->seed * 1103515245 + 12345;
	height = 1 + (l->seed >> 16 & (LEVELS - 1));
	n = sl_new(key, height);
	if (!n || !at)
		return -12;
	n->p = (u64)p;
	for (level = LEVELS - 1; level >= 0; level--) {
		next = (struct sl_node __arena *)at->forward[level];
		while (next && next->key < key && can_loop()) {
			at = next;
			next = (struct sl_node __arena *)at->forward[level];
		}
		if (level < height) {
			n->forward[level] = (u64)next;
			at->forward[level] = (u64)n;
			if (!level) {
				n->back = (u64)at;
				if (next)
					next->back = (u64)n;
			}
		}
	}
	l->nr++;
	l->finger = (u64)n;
	return 0;
}

static __noinline u64 sl_first(struct skiplist __arena *l)
{
	struct sl_node __arena *head = (struct sl_node __arena *)l->head, *first;
	int level;

	if (!head)
		return 0;
	first = (struct sl_node __arena *)head->forward[0];
	if (!first)
		return 0;
	for (level = 0; level < LEVELS; level++)
		if (head->forward[level] == (u64)first)
			head->forward[level] = first->forward[level];
	if (l->finger == (u64)first)
		l->finger = first->back;
	l->nr--;
	return first->key;
}

OP0(s32, init)
{
	struct sl_node __arena *head = sl_new(0, LEVELS);

	if (!head)
		return -12;
	vtimes.head = (u64)head;
	vtimes.seed = bpf_get_prandom_u32();
	return 0;
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	sl_insert(&vtimes, p->scx.dsq_vtime, p);
	scx_bpf_dsq_insert_vtime(p, 0, SCX_SLICE_DFL, p->scx.dsq_vtime, flags);
}

u64 now_vtime; /* none .bss.now_vtime */

OP2(void, dispatch, s32, cpu, struct task_struct *, prev)
{
	now_vtime = sl_first(&vtimes);
	scx_bpf_dsq_move_to_local(0);
}

OPS(DO(init), DO(enqueue), DO(dispatch), .name = "skiplist");
