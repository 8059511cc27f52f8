// SPDX-License-Identifier: GPL-2.0
/* Integers that look like pointers, are compared with some, are computed from
 * some, and are none. */
#include "scx.h"

LICENSE();
ARENA(64);

struct task_ctx {
	u64 cookie; /* a hash of the address */ /* none task_ctx.cookie */
	u64 pid_cpu; /* none task_ctx.pid_cpu */
	u64 dsq_id; /* none task_ctx.dsq_id */
	u64 arena_off; /* offset of the stats in the arena */ /* none task_ctx.arena_off */
	u64 tagged; /* address with a state in its low bits */ /* none task_ctx.tagged */
	u64 delta; /* difference of addresses */ /* none task_ctx.delta */
	u64 addr_shifted; /* none task_ctx.addr_shifted */
	u64 ino; /* none task_ctx.ino */
	u64 weight_sum; /* none task_ctx.weight_sum */
};

struct stats {
	u64 runs;
	u64 waits;
	u64 bytes[6];
};

STORAGE(tasks, BPF_MAP_TYPE_TASK_STORAGE, struct task_ctx);
MAP(by_hash, BPF_MAP_TYPE_HASH, 1024, u64, u64); /* none by_hash */

u64 arena_base; /* truth .bss.arena_base -> struct stats (arena) */
u64 arena_used; /* none .bss.arena_used */
u64 salt; /* none .bss.salt */
u64 seen[64]; /* hashes of pointers */ /* none .bss.seen[] */
u64 last_cgid; /* none .bss.last_cgid */
u64 clock; /* none .bss.clock */
u64 bloom; /* none .bss.bloom */

static __noinline u64 mix(u64 v)
{
	v ^= v >> 33;
	v *= 0xff51afd7ed558ccdULL;
	return v ^ v >> 33;
}

static __noinline struct stats __arena *stats_at(u64 off)
{
	return (struct stats __arena *)(arena_base + off);
}

OP0(s32, init)
{
	struct stats __arena *s = bpf_arena_alloc_pages(&arena, NULL, 16, -1, 0);

	if (!s)
		return -12;
	arena_base = (u64)s;
	salt = bpf_get_prandom_u32();
	return 0;
}

OP2(s32, init_task, struct task_struct *, p, struct scx_init_task_args *, args)
{
	struct task_ctx *c = bpf_task_storage_get(&tasks, p, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	u64 hash, n = 0;

	if (!c || !arena_base)
		return -12;
	hash = mix((u64)p ^ salt);
	c->cookie = hash;
	c->pid_cpu = (u64)p->pid << 32 | scx_bpf_task_cpu(p);
	c->dsq_id = 1ULL << 62 | p->pid;
	c->arena_off = arena_used;
	arena_used += sizeof(struct stats);
	c->tagged = (u64)stats_at(c->arena_off) | (p->flags & 7);
	c->delta = (u64)p - (u64)p->group_leader;
	c->addr_shifted = (u64)p >> 12;
	c->ino = args->cgroup ? args->cgroup->kn->id : 0;
	last_cgid = c->ino;
	seen[hash & 63] = hash;
	bloom |= 1ULL << (hash & 63);
	return bpf_map_update_elem(&by_hash, &hash, &n, 0);
}

OP1(void, running, struct task_struct *, p)
{
	struct task_ctx *c = bpf_task_storage_get(&tasks, p, NULL, 0);
	struct stats __arena *s;
	u64 *n;

	if (!c)
		return;
	s = stats_at(c->arena_off);
	s->runs++;
	s = (struct stats __arena *)(c->tagged & ~7ULL);
	if (s && (c->tagged & 7) == 1)
		s->waits++;
	n = bpf_map_lookup_elem(&by_hash, &c->cookie);
	if (n)
		(*n)++;
	c->weight_sum += p->scx.weight;
	clock = bpf_ktime_get_ns();
	if (c->delta == 0)
		s->bytes[c->pid_cpu & 3] += c->addr_shifted;
}

OPS(DO(init), DO(init_task), DO(running), .name = "cookies");
