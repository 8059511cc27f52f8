// SPDX-License-Identifier: GPL-2.0
/* A stack of segments that hold pointers to anything, with a reserve, in a library
 * style: created, pushed and popped through addresses; two users with their own
 * types. */
#include "suite.h"
ARENA_MAP;
#define SEG_SLOTS 60

struct seg {
	struct seg __arena *prev;
	struct seg __arena *next;
	u32 used;
	u32 id;
	void __arena *slots[SEG_SLOTS]; /* truth: seg.slots[] different */
};
struct segstack {
	struct seg __arena *first;
	struct seg __arena *last;
	struct seg __arena *current;
	struct seg __arena *reserve;
	u64 capacity;
	u64 count;
};
struct tinfo {
	u32 pid;
	u32 weight;
	u64 vtime;
	struct segstack __arena *home;
};
struct ginfo {
	u64 quota;
	u64 spent;
	u32 id;
	struct tinfo __arena *leader;
};
typedef struct segstack __arena segstack_t;

segstack_t *tasks;
segstack_t *groups;

static struct seg __arena *seg_new(segstack_t *s)
{
	struct seg __arena *seg = s->reserve;

	if (seg) {
		s->reserve = NULL;
		return seg;
	}
	seg = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!seg)
		return NULL;
	seg->id = s->capacity;
	s->capacity += SEG_SLOTS;
	return seg;
}

__weak u64 stack_create(void)
{
	segstack_t *s = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

	if (!s)
		return 0;
	s->first = s->last = s->current = seg_new(s);
	return (u64)s;
}

__weak int stack_push(segstack_t *s __arg_arena, void __arena *elem)
{
	struct seg __arena *cur, *seg;

	if (!s || !elem)
		return -1;
	cur = s->current;
	if (!cur)
		return -1;
	if (cur->used >= SEG_SLOTS) {
		seg = cur->next;
		if (!seg) {
			seg = seg_new(s);
			if (!seg)
				return -1;
			seg->prev = cur;
			seg->next = NULL;
			cur->next = seg;
			s->last = seg;
		}
		s->current = cur = seg;
		cur->used = 0;
	}
	cur->slots[cur->used++ % SEG_SLOTS] = elem;
	s->count++;
	return 0;
}

__weak u64 stack_pop(segstack_t *s __arg_arena)
{
	struct seg __arena *cur;

	if (!s || !s->count)
		return 0;
	cur = s->current;
	if (!cur->used) {
		if (!cur->prev)
			return 0;
		if (cur == s->last) {
			s->last = cur->prev;
			s->last->next = NULL;
			s->reserve = cur;
		}
		s->current = cur = cur->prev;
	}
	s->count--;
	return (u64)cur->slots[--cur->used % SEG_SLOTS];
}

__weak int ginfo_lead(struct ginfo __arena *g __arg_arena, struct tinfo __arena *t __arg_arena)
{
	if (!g || !t)
		return -1;
	g->leader = t;
	g->spent += t->weight;
	return 0;
}

SEC("struct_ops/init_task")
int init_task(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct tinfo __arena *t;
	struct ginfo __arena *g;

	if (!tasks)
		tasks = (segstack_t *)stack_create();
	if (!groups)
		groups = (segstack_t *)stack_create();
	t = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	g = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!t || !g || !tasks)
		return 1;
	t->pid = p->pid;
	t->home = tasks;
	g->id = p->pid;
	g->quota = 100;
	stack_push(tasks, t);
	return stack_push(groups, g);
}

SEC("struct_ops/dispatch")
void dispatch(u64 *ctx)
{
	struct tinfo __arena *t = (struct tinfo __arena *)stack_pop(tasks);
	struct ginfo __arena *g = (struct ginfo __arena *)stack_pop(groups);

	if (!t || !g)
		return;
	ginfo_lead(g, t);
	if (t->home)
		t->home->count++;
	if (g->leader)
		g->leader->vtime += g->quota;
}
SCHED(.init_task = (void *)init_task, .dispatch = (void *)dispatch);
