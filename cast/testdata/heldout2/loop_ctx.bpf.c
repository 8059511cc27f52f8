// SPDX-License-Identifier: GPL-2.0
/* Load balancing by bpf_loop and bpf_for_each_map_elem: the contexts of the callbacks hold what they work on. */
#include "../heldout/scx.h"

LICENSE();
ARENA(256);

struct lb_dom {
	u64 load;
	u64 capacity; /* none lb_dom.capacity */
	u64 tasks; /* truth lb_dom.tasks -> struct lb_task (arena) */
	u64 next; /* truth lb_dom.next -> struct lb_dom (arena) */
	u32 id;
};

struct lb_task {
	u64 load;
	u64 link; /* truth lb_task.link -> struct lb_task (arena) */
	u64 dom; /* truth lb_task.dom -> struct lb_dom (arena) */
	u64 p; /* truth lb_task.p -> struct task_struct (kernel) */
	s32 pid;
};
DESCRIBE(lb_task);

/* On the stack while a loop runs. */
struct find_ctx {
	u64 best; /* may find_ctx.best -> struct lb_dom (arena) */
	u64 at; /* may find_ctx.at -> struct lb_dom (arena) */
	u64 load; /* none find_ctx.load */
};

/* In a map, because it is used across loops. */
struct move_ctx {
	u64 from; /* truth move_ctx.from -> struct lb_dom (arena) */
	u64 to; /* truth move_ctx.to -> struct lb_dom (arena) */
	u64 cursor; /* truth move_ctx.cursor -> struct lb_task (arena) */
	u64 budget; /* none move_ctx.budget */
	u64 stat; /* truth move_ctx.stat -> struct lb_stat (map value) */
	u64 conf; /* truth move_ctx.conf -> struct lb_conf (global) */
	u64 token; /* none move_ctx.token */
};

struct lb_stat {
	u64 moved;
	u64 failed;
};

struct lb_conf {
	u64 threshold;
	u64 interval;
};

MAP(move_scratch, BPF_MAP_TYPE_PERCPU_ARRAY, 1, u32, struct move_ctx);
MAP(lb_stats, BPF_MAP_TYPE_ARRAY, 4, u32, struct lb_stat);
MAP(lb_tasks, BPF_MAP_TYPE_HASH, 4096, s32, u64); /* truth lb_tasks -> struct lb_task (arena) */

struct lb_conf lb_conf = { .threshold = 50, .interval = 1000000 };
struct lb_dom __arena *lb_first;

static int find_busiest(u32 i, struct find_ctx *c)
{
	struct lb_dom __arena *d = (struct lb_dom __arena *)c->at;

	if (!d)
		return 1;
	if (d->load > c->load) {
		c->load = d->load;
		c->best = (u64)d;
	}
	c->at = d->next;
	return 0;
}

static int move_one(u32 i, struct move_ctx *c)
{
	struct lb_task __arena *t = (struct lb_task __arena *)c->cursor;
	struct lb_dom __arena *from = (struct lb_dom __arena *)c->from;
	struct lb_dom __arena *to = (struct lb_dom __arena *)c->to;

	if (!t || !from || !to || t->load > c->budget)
		return 1;
	c->cursor = t->link;
	from->tasks = t->link;
	from->load -= t->load;
	t->link = to->tasks;
	t->dom = (u64)to;
	to->tasks = (u64)t;
	to->load += t->load;
	c->budget -= t->load;
	return 0;
}

static long decay(void *map, s32 *pid, u64 *value, void *ctx)
{
	struct lb_task __arena *t = (struct lb_task __arena *)*value;
	u64 *nr = ctx;

	if (t) {
		t->load -= t->load / 8;
		(*nr)++;
	}
	return 0;
}

static __noinline int balance(struct lb_dom __arena *to)
{
	struct find_ctx find = { .at = (u64)lb_first };
	struct lb_conf conf;
	struct move_ctx *c;
	struct lb_stat *st;
	u64 nr = 0;
	u32 key = 0;

	bpf_loop(64, find_busiest, &find, 0);
	c = bpf_map_lookup_elem(&move_scratch, &key);
	st = bpf_map_lookup_elem(&lb_stats, &key);
	if (!c || !st || !find.best || find.best == (u64)to)
		return -2;
	c->from = find.best;
	c->to = (u64)to;
	c->cursor = ((struct lb_dom __arena *)find.best)->tasks;
	c->stat = (u64)st;
	c->conf = (u64)&lb_conf;
	c->token = (u64)bpf_get_smp_processor_id() << 32 | bpf_get_prandom_u32();
	if (bpf_probe_read_kernel(&conf, sizeof(conf), (void *)c->conf))
		return -14;
	c->budget = find.load * conf.threshold / 100;
	st->moved += bpf_loop(128, move_one, c, 0);
	bpf_for_each_map_elem(&lb_tasks, decay, &nr, 0);
	if (!nr)
		st->failed++;
	return 0;
}

OP0(s32, init)
{
	struct lb_dom __arena *d = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	int i;

	if (!d)
		return -12;
	for (i = 0; i < 16; i++, d++) {
		d->id = i;
		d->capacity = 1024;
		d->next = (u64)lb_first;
		lb_first = d;
	}
	return 0;
}

OP2(s32, init_task, struct task_struct *, p, struct scx_init_task_args *, args)
{
	struct lb_task __arena *t = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	struct lb_dom __arena *d = lb_first;
	s32 pid = p->pid;
	u64 val;

	if (!t || !d)
		return -12;
	t->pid = pid;
	t->p = (u64)p;
	t->load = p->scx.weight;
	t->dom = (u64)d;
	t->link = d->tasks;
	d->tasks = (u64)t;
	val = (u64)t;
	return bpf_map_update_elem(&lb_tasks, &pid, &val, 0);
}

OP2(void, enqueue, struct task_struct *, p, u64, flags)
{
	s32 pid = p->pid;
	u64 *val = bpf_map_lookup_elem(&lb_tasks, &pid);
	struct lb_task __arena *t;

	if (!val || !*val)
		return;
	t = (struct lb_task __arena *)*val;
	if (t->dom)
		((struct lb_dom __arena *)t->dom)->load += t->load;
	scx_bpf_dsq_insert(p, t->p == (u64)p ? 0 : 1, SCX_SLICE_DFL, flags);
}

OP2(void, dispatch, s32, cpu, struct task_struct *, prev)
{
	if (lb_first)
		balance(lb_first);
	scx_bpf_dsq_move_to_local(0);
}

OPS(DO(init), DO(init_task), DO(enqueue), DO(dispatch), .name = "loop_ctx");
