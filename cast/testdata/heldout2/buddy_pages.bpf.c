// SPDX-License-Identifier: GPL-2.0
/*
 * A buddy allocator over chunks of arena pages: headers in the chunk, lists of free
 * blocks by order. Task contexts, CPU contexts and histories are allocated by it.
 */
#include "../heldout/scx.h"

LICENSE();
ARENA(8192);

#define MAX_ORDER 10
#define MIN_SHIFT 6
#define NBLOCKS (1 << MAX_ORDER)

struct fblock {
	u64 prev; /* truth fblock.prev -> struct fblock (arena) */
	u64 next; /* truth fblock.next -> struct fblock (arena) */
};

struct bchunk {
	u64 heads[MAX_ORDER + 1]; /* truth bchunk.heads[] -> struct fblock (arena) */
	u64 following; /* truth bchunk.following -> struct bchunk (arena) */
	u64 base; /* none bchunk.base */
	u64 free_bytes; /* none bchunk.free_bytes */
	u8 order[NBLOCKS];
};

struct buddies {
	u64 chunks; /* truth buddies.chunks -> struct bchunk (arena) */
	u64 recent; /* truth buddies.recent -> struct bchunk (arena) */
	u64 nr_chunks; /* none buddies.nr_chunks */
};

struct history {
	u64 stamp[16];
	u32 at;
};

struct bt_ctx {
	u64 slices; /* truth bt_ctx.slices -> struct history (arena) */
	u64 wakes; /* truth bt_ctx.wakes -> struct history (arena) */
	u64 size; /* none bt_ctx.size */
	u64 cpuc; /* truth bt_ctx.cpuc -> struct bcpu_ctx (arena) */
};

struct bcpu_ctx {
	u64 history; /* truth bcpu_ctx.history -> struct history (arena) */
	u64 running; /* truth bcpu_ctx.running -> struct bt_ctx (arena) */
	u64 llc_id; /* none bcpu_ctx.llc_id */
};
DESCRIBE(bt_ctx);
DESCRIBE(bcpu_ctx);
DESCRIBE(history);

struct bt_val {
	void __arena *data; /* truth bt_val.data -> struct bt_ctx (arena) */
};

struct buddies buddies;
void __arena *cpu_ctxs[32]; /* truth .bss.cpu_ctxs[] -> struct bcpu_ctx (arena) */

STORAGE(bt, BPF_MAP_TYPE_TASK_STORAGE, struct bt_val);

static __always_inline u64 at_of(struct bchunk __arena *c, u64 addr)
{
	return (addr - (u64)c - 4096) >> MIN_SHIFT;
}

static __noinline void list_push(struct bchunk __arena *c, u32 order, u64 addr)
{
	struct fblock __arena *b = (struct fblock __arena *)addr, *first;

	if (order > MAX_ORDER)
		return;
	first = (struct fblock __arena *)c->heads[order];
	b->prev = 0;
	b->next = (u64)first;
	if (first)
		first->prev = (u64)b;
	c->heads[order] = (u64)b;
	c->order[at_of(c, addr) & (NBLOCKS - 1)] = order | 0x80;
}

static __noinline void list_take(struct bchunk __arena *c, u32 order, struct fblock __arena *b)
{
	if (order > MAX_ORDER)
		return;
	if (b->prev)
		((struct fblock __arena *)b->prev)->next = b->next;
	else
		c->heads[order] = b->next;
	if (b->next)
		((struct fblock __arena *)b->next)->prev = b->prev;
	c->order[at_of(c, (u64)b) & (NBLOCKS - 1)] = order;
}

static __noinline int chunk_add(struct buddies *all)
{
	struct bchunk __arena *c = bpf_arena_alloc_pages(&arena, NULL, 17, -1, 0);

	if (!c)
		return -12;
	c->base = at_of(c, (u64)c + 4096);
	c->free_bytes = 1 << (MAX_ORDER + MIN_SHIFT);
	c->following = all->chunks;
	all->chunks = (u64)c;
	all->recent = (u64)c;
	all->nr_chunks++;
	list_push(c, MAX_ORDER, (u64)c + 4096);
	return 0;
}

static __noinline u64 chunk_alloc(struct bchunk __arena *c, u32 want)
{
	struct fblock __arena *b;
	u32 order;

	for (order = want; order <= MAX_ORDER && can_loop(); order++)
		if (c->heads[order])
			goto found;
	return 0;
found:
	if (order > MAX_ORDER)
		return 0;
	b = (struct fblock __arena *)c->heads[order];
	list_take(c, order, b);
	while (order > want && can_loop()) {
		order--;
		list_push(c, order, (u64)b + (1ULL << (order + MIN_SHIFT)));
	}
	c->order[at_of(c, (u64)b) & (NBLOCKS - 1)] = want;
	c->free_bytes -= 1ULL << (want + MIN_SHIFT);
	return (u64)b;
}

static __noinline void __arena *buddy_alloc(u64 size)
{
	struct bchunk __arena *c = (struct bchunk __arena *)buddies.recent;
	u32 order = 0;
	u64 addr = 0;

	while ((1ULL << (order + MIN_SHIFT)) < size && can_loop())
		order++;
	if (c)
		addr = chunk_alloc(c, order);
	for (c = (struct bchunk __arena *)buddies.chunks; !addr && c && can_loop();
	     c = (struct bchunk __arena *)c->following)
		addr = chunk_alloc(c, order);
	if (!addr && !chunk_add(&buddies))
		addr = chunk_alloc((struct bchunk __arena *)buddies.chunks, order);
	return (void __arena *)addr;
}

static __noinline int buddy_free(void __arena *mem)
{
	struct bchunk __arena *c;
	u64 addr = (u64)mem, other;
	u32 order;

	for (c = (struct bchunk __arena *)buddies.chunks; c && can_loop(); c = (struct bchunk __arena *)c->following)
		if (addr > (u64)c && addr < (u64)c + 17 * 4096)
			break;
	if (!c)
		return -22;
	order = c->order[at_of(c, addr) & (NBLOCKS - 1)];
	while (order < MAX_ORDER && can_loop()) {
		other = ((addr - (u64)c - 4096) ^ (1ULL << (order + MIN_SHIFT))) + (u64)c + 4096;
		if (c->order[at_of(c, other) & (NBLOCKS - 1)] != (order | 0x80))
			break;
		list_take(c, order, (struct fblock __arena *)other);
		if (other < addr)
			addr = other;
		order++;
	}
	list_push(c, order, addr);
	return 0;
}

OP0(s32, init)
{
	struct bcpu_ctx __arena *cc;
	int i;

	if (chunk_add(&buddies))
		return -12;
	for (i = 0; i < 32; i++) {
		cc = buddy_alloc(sizeof(*cc));
		if (!cc)
			return -12;
		cc->llc_id = i / 8;
		cc->history = (u64)buddy_alloc(sizeof(struct history));
		cpu_ctxs[i] = cc;
	}
	return 0;
}

OP2(s32, init_task, struct task_struct *, p, struct scx_init_task_args *, args)
{
	struct bt_val *v = bpf_task_storage_get(&bt, p, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	struct bt_ctx __arena *tc;

	if (!v)
		return -12;
	tc = buddy_alloc(sizeof(*tc));
	if (!tc)
		return -12;
	tc->size = sizeof(*tc);
	tc->slices = (u64)buddy_alloc(sizeof(struct history));
	tc->wakes = (u64)buddy_alloc(sizeof(struct history));
	v->data = tc;
	return 0;
}

static __always_inline void record(u64 hist, u64 value)
{
	struct history __arena *h = (struct history __arena *)hist;

	if (h)
		h->stamp[h->at++ & 15] = value;
}

OP1(void, running, struct task_struct *, p)
{
	struct bt_val *v = bpf_task_storage_get(&bt, p, NULL, 0);
	struct bcpu_ctx __arena *cc = cpu_ctxs[bpf_get_smp_processor_id() & 31];
	struct bt_ctx __arena *tc, *before;

	if (!v || !v->data || !cc)
		return;
	tc = v->data;
	record(tc->wakes, bpf_ktime_get_ns());
	record(cc->history, p->pid);
	tc->cpuc = (u64)cc;
	before = (struct bt_ctx __arena *)cc->running;
	if (before)
		before->cpuc = 0;
	cc->running = (u64)tc;
}

OP2(void, stopping, struct task_struct *, p, bool, runnable)
{
	struct bt_val *v = bpf_task_storage_get(&bt, p, NULL, 0);
	struct bt_ctx __arena *tc;

	if (!v || !v->data)
		return;
	tc = v->data;
	record(tc->slices, p->scx.slice);
	if (tc->cpuc)
		((struct bcpu_ctx __arena *)tc->cpuc)->running = 0;
}

OP2(void, exit_task, struct task_struct *, p, struct scx_exit_task_args *, args)
{
	struct bt_val *v = bpf_task_storage_get(&bt, p, NULL, 0);
	struct bt_ctx __arena *tc;

	if (!v || !v->data)
		return;
	tc = v->data;
	buddy_free((void __arena *)tc->slices);
	buddy_free((void __arena *)tc->wakes);
	buddy_free(tc);
	v->data = NULL;
}

OPS(DO(init), DO(init_task), DO(running), DO(stopping), DO(exit_task), .name = "buddy_pages");
