// SPDX-License-Identifier: GPL-2.0
/* A hash table in the arena with chains, one for tasks and one for programs
 * (by the address of their memory map). The table is the same code. */
#include "scx.h"

#define BUCKETS 128

LICENSE();
ARENA(1024);

struct hnode {
	u64 next; /* truth hnode.next -> struct hnode (arena) */
	u64 pprev; /* the place that leads here */ /* may hnode.pprev -> unsigned long long (arena) */
	u64 hash; /* none hnode.hash */
};
DESCRIBE(hnode);

struct htable {
	u64 buckets[BUCKETS]; /* truth htable.buckets[] -> struct hnode (arena) */
	u64 nr;
	u64 salt; /* none htable.salt */
};

struct prog {
	struct hnode node;
	u64 mm; /* truth prog.mm -> struct mm_struct (kernel) */
	u64 cpu_time;
	u32 nr_threads;
};

struct thread {
	s32 pid;
	u32 pad;
	u64 prog; /* truth thread.prog -> struct prog (arena) */
	struct hnode node;
	u64 slice;
};

struct htable __arena *progs;
struct htable __arena *threads;

static __noinline void ht_add(struct htable __arena *t, struct hnode __arena *n, u64 hash)
{
	u64 __arena *head = &t->buckets[hash & (BUCKETS - 1)];
	struct hnode __arena *first = (struct hnode __arena *)*head;

	n->hash = hash;
	n->next = (u64)first;
	n->pprev = (u64)head;
	if (first)
		first->pprev = (u64)&n->next;
	*head = (u64)n;
	t->nr++;
}

static __noinline void ht_del(struct htable __arena *t, struct hnode __arena *n)
{
	struct hnode __arena *next = (struct hnode __arena *)n->next;

	if (n->pprev)
		*(u64 __arena *)n->pprev = (u64)next;
	if (next)
		next->pprev = n->pprev;
	t->nr--;
}

static u64 hash_of(struct htable __arena *t, u64 key)
{
	return (key ^ t->salt) * 0x61c8864680b583ebULL >> 20;
}

static __noinline struct prog __arena *prog_of(u64 mm)
{
	u64 hash = hash_of(progs, mm);
	struct hnode __arena *n = (struct hnode __arena *)progs->buckets[hash & (BUCKETS - 1)];
	struct prog __arena *prog;

	for (; n && can_loop(); n = (struct hnode __arena *)n->next) {
		prog = container_of(n, struct prog, node);
		if (n->hash == hash && prog->mm == mm)
			return prog;
	}
	return NULL;
}

static __noinline struct thread __arena *thread_of(s32 pid)
{
	u64 hash = hash_of(threads, pid);
	struct hnode __arena *n = (struct hnode __arena *)threads->buckets[hash & (BUCKETS - 1)];
	struct thread __arena *thread;

	for (; n && can_loop(); n = (struct hnode __arena *)n->next) {
		thread = container_of(n, struct thread, node);
		if (thread->pid == pid)
			return thread;
	}
	return NULL;
}

OP0(s32, init)
{
	progs = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	threads = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!progs || !threads)
		return -12;
	progs->salt = bpf_get_prandom_u32();
	threads->salt = bpf_get_prandom_u32();
	return 0;
}

OP2(s32, init_task, struct task_struct *, p, struct scx_init_task_args *, args)
{
	struct thread __arena *thread = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	struct prog __arena *prog;

	if (!thread || !progs || !threads)
		return -12;
	prog = prog_of((u64)p->mm);
	if (!prog) {
		prog = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
		if (!prog)
			return -12;
		prog->mm = (u64)p->mm;
		ht_add(progs, &prog->node, hash_of(progs, (u64)p->mm));
	}
	prog->nr_threads++;
	thread->pid = p->pid;
	thread->prog = (u64)prog;
	ht_add(threads, &thread->node, hash_of(threads, p->pid));
	return 0;
}

OP1(void, tick, struct task_struct *, p)
{
	struct thread __arena *thread;
	struct prog __arena *prog;

	if (!threads)
		return;
	thread = thread_of(p->pid);
	if (!thread)
		return;
	thread->slice = p->scx.slice;
	prog = (struct prog __arena *)thread->prog;
	if (prog)
		prog->cpu_time += 1000000;
}

OP2(void, exit_task, struct task_struct *, p, struct scx_exit_task_args *, args)
{
	struct thread __arena *thread;

	if (!threads)
		return;
	thread = thread_of(p->pid);
	if (thread)
		ht_del(threads, &thread->node);
}

OPS(DO(init), DO(init_task), DO(tick), DO(exit_task), .name = "arena_hash");
