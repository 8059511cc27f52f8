// SPDX-License-Identifier: GPL-2.0
/* A skip list of runnable groups by vtime; groups have a member list and a span. */
#include "../heldout/scx.h"

LICENSE();
ARENA(2048);

#define LEVELS 8

struct sknode {
	u64 vtime; /* none sknode.vtime */
	u64 span; /* none sknode.span */
	u64 group; /* truth sknode.group -> struct skgroup (arena) */
	u64 fwd[LEVELS]; /* truth sknode.fwd[] -> struct sknode (arena) */
	u64 back; /* truth sknode.back -> struct sknode (arena) */
	u32 level;
};

struct skiplist {
	u64 head; /* truth skiplist.head -> struct sknode (arena) */
	u64 finger; /* truth skiplist.finger -> struct sknode (arena) */
	u64 rnd; /* none skiplist.rnd */
	u32 level;
	u32 nr;
};

struct skgroup {
	u64 node; /* truth skgroup.node -> struct sknode (arena) */
	u64 members; /* truth skgroup.members -> struct skmember (arena) */
	u64 gid; /* none skgroup.gid */
	u64 vtime;
};

struct skmember {
	u64 group; /* truth skmember.group -> struct skgroup (arena) */
	u64 sibling; /* truth skmember.sibling -> struct skmember (arena) */
	u64 start; /* none skmember.start */
	s32 pid;
};
DESCRIBE(skmember);

struct skiplist __arena *list;
u64 groups[64]; /* truth .bss.groups[] -> struct skgroup (arena) */

static __noinline struct sknode __arena *sk_seek(struct skiplist __arena *l, u64 vtime, u32 level)
{
	struct sknode __arena *n = (struct sknode __arena *)l->head, *next;
	int i;

	for (i = LEVELS - 1; n && i >= 0 && i >= (int)level; i--) {
		while (can_loop()) {
			next = (struct sknode __arena *)n->fwd[i];
			if (!next || next->vtime >= vtime)
				break;
			n = next;
		}
	}
	return n;
}

static __noinline int sk_insert(struct skiplist __arena *l, struct sknode __arena *n)
{
	struct sknode __arena *prev, *next;
	u32 i;

	l->rnd = l->rnd * 6364136223846793005ULL + 1442695040888963407ULL;
	n->level = __builtin_popcount((l->rnd >> 33) & (LEVELS - 1));
	for (i = 0; i <= n->level && i < LEVELS && can_loop(); i++) {
		prev = sk_seek(l, n->vtime, i);
		if (!prev)
			return -22;
		n->fwd[i] = prev->fwd[i];
		prev->fwd[i] = (u64)n;
		if (i)
			continue;
		n->back = (u64)prev;
		next = (struct sknode __arena *)n->fwd[0];
		if (next) {
			next->back = (u64)n;
			n->span = next->vtime - n->vtime;
		}
	}
	l->finger = (u64)n;
	l->nr++;
	return 0;
}

static __noinline int sk_remove(struct skiplist __arena *l, struct sknode __arena *n)
{
	struct sknode __arena *prev;
	u32 i;

	for (i = 0; i < LEVELS && can_loop(); i++) {
		prev = sk_seek(l, n->vtime, i);
		while (prev && prev->fwd[i] && prev->fwd[i] != (u64)n && can_loop())
			prev = (struct sknode __arena *)prev->fwd[i];
		if (prev && prev->fwd[i] == (u64)n)
			prev->fwd[i] = n->fwd[i];
		n->fwd[i] = 0;
	}
	if (l->finger == (u64)n)
		l->finger = n->back;
	l->nr--;
	return 0;
}

static __noinline struct skgroup __arena *group_get(u32 gid)
{
	struct skgroup __arena *g = (struct skgroup __arena *)groups[gid & 63];
	struct sknode __arena *n;

	if (g)
		return g;
	g = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	n = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!g || !n)
		return NULL;
	g->gid = gid;
	g->node = (u64)n;
	n->group = (u64)g;
	groups[gid & 63] = (u64)g;
	return g;
}

OP0(s32, init)
{
	list = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!list)
		return -12;
	list->rnd = bpf_get_prandom_u32();
	list->head = (u64)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	return list->head ? 0 : -12;
}

OP2(s32, init_task, struct task_struct *, p, struct scx_init_task_args *, args)
{
	struct skgroup __arena *g = group_get(p->tgid);
	struct skmember __arena *m = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

	if (!g || !m)
		return -12;
	m->pid = p->pid;
	m->start = p->start_time;
	m->group = (u64)g;
	m->sibling = g->members;
	g->members = (u64)m;
	return 0;
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	struct skgroup __arena *g = group_get(p->tgid);
	struct sknode __arena *n;

	if (!g || !list)
		return;
	n = (struct sknode __arena *)g->node;
	if (!n)
		return;
	sk_remove(list, n);
	n->vtime = g->vtime += SCX_SLICE_DFL * 100 / (p->scx.weight | 1);
	sk_insert(list, n);
}

OP2(void, dispatch, s32, cpu, struct task_struct *, prev)
{
	struct sknode __arena *head, *n;
	struct skgroup __arena *g;
	struct skmember __arena *m;
	struct task_struct *p;

	if (!list)
		return;
	head = (struct sknode __arena *)list->head;
	if (!head)
		return;
	n = (struct sknode __arena *)head->fwd[0];
	if (!n)
		n = (struct sknode __arena *)list->finger;
	if (!n)
		return;
	g = (struct skgroup __arena *)n->group;
	if (!g)
		return;
	for (m = (struct skmember __arena *)g->members; m && can_loop(); m = (struct skmember __arena *)m->sibling) {
		if ((struct skgroup __arena *)m->group != g || ((struct skgroup __arena *)m->group)->gid != g->gid)
			continue;
		p = bpf_task_from_pid(m->pid);
		if (!p)
			continue;
		scx_bpf_dsq_insert(p, SCX_DSQ_GLOBAL, SCX_SLICE_DFL, 0);
		bpf_task_release(p);
		return;
	}
}

OPS(DO(init), DO(init_task), DO(enqueue), DO(dispatch), .name = "skip_vtime");
