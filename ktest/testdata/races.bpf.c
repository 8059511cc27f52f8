// SPDX-License-Identifier: GPL-2.0
/*
 * A scheduler with one shared queue that works, and fifteen races between CPUs in what it does
 * beside that, for the tests of searches. Each is in a struct of its own, and is seen by its member bad, or by
 * a count that has no race (exact).
 */
#ifndef FAULT
#error "build with -DFAULT=RACES"
#endif
#include "../../example_sched/bpf/bpf.h"

char LICENSE[] SEC("license") = "GPL";

#define SHARED_DSQ 0
#define MAX_CPUS 4
#define BPF_MAP_TYPE_ARRAY 2
#define CLOCK_MONOTONIC 1

#define READ(x) (*(volatile typeof(x) *)&(x))
#define ADD(x, n) __sync_fetch_and_add(&(x), n)

static long (*const bpf_timer_init)(void *timer, void *map, u64 flags) = (void *)169;
static long (*const bpf_timer_set_callback)(void *timer, void *callback) = (void *)170;
static long (*const bpf_timer_start)(void *timer, u64 nsecs, u64 flags) = (void *)171;
s32 scx_bpf_task_cpu(const struct task_struct *p) __ksym;

u64 seq; /* of enqueues, atomic */

struct { u64 count, exact; } lost_update;	     /* loaded, and stored later */
struct { u32 taken, owners; u64 bad; } check_then_act; /* a lock that is looked at before it is taken */
struct { struct { u32 busy, owners; } slot[2]; u64 bad; } double_claim;
struct { u64 a, b; u32 lock; u64 bad; } torn;	     /* two fields that are equal outside of the lock */
struct { u64 slot[16], head, tail; u32 lock; u64 bad; } unfilled; /* published before it is filled */
struct { u64 seen, last[MAX_CPUS], bad; } went_back; /* a maximum that is compared before it is stored */
struct { u64 count, exact; } refs;		     /* taken by one operation, given by another */
struct { u64 queued[MAX_CPUS], exact[MAX_CPUS]; } remote; /* a CPU's own count, which others change */
struct { u64 delta, total, exact; } drained;	     /* by a timer, while an operation adds */
struct { u32 pending, sleeping; u64 bad; } wakeup;   /* sleeps between the look and the wakeup */
struct { u32 head, next[8], used[8]; u64 bad; } freelist; /* popped by two at once */
struct { u64 made, makers[64], bad; } lazy;	     /* made by the first who needs it */

struct { u32 a, b, for_a, for_b; u64 bad; } lock_order; /* two locks, taken in two orders */
struct { struct { u32 online; } cpu[MAX_CPUS]; u64 bad; } offline; /* sent to a CPU that goes offline */
struct { u32 current, live[8], lock; u64 bad; } freed; /* used, and replaced and freed by another */

struct bpf_timer {
	u64 __opaque[2];
} __attribute__((aligned(8)));

struct ticker {
	struct bpf_timer timer;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct ticker);
} tickers SEC(".maps");

static __always_inline u64 work(u64 x, int n)
{
	volatile u64 v = x;

	for (int i = 0; i < n; i++)
		v = v * 3 + i;
	return v;
}

static __always_inline bool trylock(u32 *lock) { return !__sync_lock_test_and_set(lock, 1); }
static __always_inline void unlock(u32 *lock) { __sync_lock_test_and_set(lock, 0); }

static __always_inline void count_twice(void)
{
	u64 before = READ(lost_update.count);

	work(before, 30);
	READ(lost_update.count) = before + 1;
	ADD(lost_update.exact, 1);
}

static __always_inline void lock_badly(void)
{
	if (READ(check_then_act.taken))
		return;
	work(1, 10);
	READ(check_then_act.taken) = 1;
	if (ADD(check_then_act.owners, 1))
		ADD(check_then_act.bad, 1);
	work(1, 10);
	ADD(check_then_act.owners, -1);
	READ(check_then_act.taken) = 0;
}

static __always_inline void claim(u64 n)
{
	u32 i = n >> 3 & 1;

	if (READ(double_claim.slot[i].busy))
		return;
	work(1, 20);
	READ(double_claim.slot[i].busy) = 1;
	if (ADD(double_claim.slot[i].owners, 1))
		ADD(double_claim.bad, 1);
	work(1, 20);
	ADD(double_claim.slot[i].owners, -1);
	READ(double_claim.slot[i].busy) = 0;
}

static __always_inline void write_pair(u64 n)
{
	if (!trylock(&torn.lock))
		return;
	READ(torn.a) = n;
	work(n, 10);
	READ(torn.b) = n;
	unlock(&torn.lock);
}

static __always_inline void read_pair(void)
{
	u64 a = READ(torn.a);

	work(a, 10);
	if (a > READ(torn.b))
		ADD(torn.bad, 1);
}

static __always_inline void publish(u64 n)
{
	u64 i = ADD(unfilled.head, 1) & 15;

	work(n, 10);
	READ(unfilled.slot[i]) = n + 1;
}

static __always_inline void consume(void)
{
	u64 tail;

	if (!trylock(&unfilled.lock))
		return;
	tail = READ(unfilled.tail);
	if (tail + 8 < READ(unfilled.head))
		tail = READ(unfilled.head) - 1; /* far behind: on to the newest */
	if (tail < READ(unfilled.head)) {
		u64 i = tail & 15;

		if (!READ(unfilled.slot[i]))
			ADD(unfilled.bad, 1);
		work(1, 10);
		READ(unfilled.slot[i]) = 0;
		READ(unfilled.tail) = tail + 1;
	}
	unlock(&unfilled.lock);
}

static __always_inline void maximum(u64 n)
{
	if (READ(went_back.seen) >= n)
		return;
	work(n, 20);
	READ(went_back.seen) = n;
}

static __always_inline void look_at_maximum(void)
{
	u32 cpu = bpf_get_smp_processor_id() & (MAX_CPUS - 1);
	u64 seen = READ(went_back.seen);

	if (seen < went_back.last[cpu])
		ADD(went_back.bad, 1);
	went_back.last[cpu] = seen;
}

static __always_inline void get_or_put(u64 by)
{
	u64 before = READ(refs.count);

	work(before, 10);
	READ(refs.count) = before + by;
	ADD(refs.exact, by);
}

static __always_inline void count_remotely(struct task_struct *p)
{
	u32 cpu = scx_bpf_task_cpu(p) & (MAX_CPUS - 1);
	u64 before = READ(remote.queued[cpu]);

	work(before, 10);
	READ(remote.queued[cpu]) = before + 1;
	ADD(remote.exact[cpu], 1);
}

/* Another CPU's: only its own is under the lock of the run queue. */
static __always_inline void take_remotely(u32 cpu)
{
	u64 before;

	cpu &= MAX_CPUS - 1;
	before = READ(remote.queued[cpu]);
	work(before, 10);
	READ(remote.queued[cpu]) = before - 1;
	ADD(remote.exact[cpu], -1);
}

static __always_inline void wake(void)
{
	READ(wakeup.pending) = 1;
	if (READ(wakeup.sleeping))
		READ(wakeup.sleeping) = 0;
}

static __always_inline void sleep(void)
{
	if (READ(wakeup.pending)) {
		READ(wakeup.pending) = 0;
		return;
	}
	work(1, 10);
	READ(wakeup.sleeping) = 1;
	if (READ(wakeup.pending))
		ADD(wakeup.bad, 1);
}

static __always_inline void use_free(void)
{
	u32 head = READ(freelist.head) & 7, next = READ(freelist.next[head]) & 7;

	if (!next)
		return;
	work(head, 10);
	READ(freelist.head) = next;
	if (ADD(freelist.used[head], 1))
		ADD(freelist.bad, 1);
	work(head, 10);
	ADD(freelist.used[head], -1);
	READ(freelist.next[head]) = READ(freelist.head) & 7;
	READ(freelist.head) = head;
}

static __always_inline void make(u64 n)
{
	u64 generation = n / 16 + 1;

	if (READ(lazy.made) >= generation)
		return;
	work(n, 20);
	if (ADD(lazy.makers[generation & 63], 1) > generation / 64)
		ADD(lazy.bad, 1);
	READ(lazy.made) = generation;
}

/* Who waits for a lock looks whether its owner waits for the one that is held here. */
static __always_inline void lock_both(u32 *held, u32 *wanted, u32 *for_held, u32 *for_wanted)
{
	if (!trylock(held))
		return;
	work(1, 10);
	if (trylock(wanted)) {
		unlock(wanted);
	} else {
		ADD(*for_wanted, 1);
		for (int i = 0; i < 20; i++)
			if (READ(*for_held)) {
				ADD(lock_order.bad, 1);
				break;
			}
		ADD(*for_wanted, -1);
	}
	unlock(held);
}

static __always_inline void send(u32 cpu)
{
	cpu &= MAX_CPUS - 1;
	if (!READ(offline.cpu[cpu].online))
		return;
	work(cpu, 100); /* offline CPUs are rare */
	if (!READ(offline.cpu[cpu].online))
		ADD(offline.bad, 1);
}

static __always_inline void replace(void)
{
	u32 old, next;

	if (!trylock(&freed.lock))
		return;
	old = READ(freed.current) & 7;
	next = (old + 1) & 7;
	READ(freed.live[next]) = 1;
	READ(freed.current) = next;
	work(next, 10);
	READ(freed.live[old]) = 0;
	unlock(&freed.lock);
}

static __always_inline void use(void)
{
	u32 i = READ(freed.current) & 7;

	work(i, 10);
	if (!READ(freed.live[i]))
		ADD(freed.bad, 1);
}

/* What is used of struct sched_ext_ops, with the operations for hotplug. */
struct sched_ext_ops___hotplug {
	void (*enqueue)(struct task_struct *p, u64 enq_flags);
	void (*dispatch)(s32 cpu, struct task_struct *prev);
	void (*running)(struct task_struct *p);
	void (*cpu_online)(s32 cpu);
	void (*cpu_offline)(s32 cpu);
	s32 (*init)(void);
	u32 timeout_ms;
	char name[128];
};

SEC("struct_ops/enqueue")
void races_enqueue(u64 *args)
{
	struct task_struct *p = STRUCT_OPS_ARG(args, 0, struct task_struct *);
	u64 n = ADD(seq, 1);

	count_twice();
	lock_badly();
	claim(n);
	write_pair(n);
	publish(n);
	maximum(n);
	get_or_put(1);
	count_remotely(p);
	ADD(drained.delta, 1);
	ADD(drained.exact, 1);
	wake();
	use_free();
	make(n);
	lock_both(&lock_order.a, &lock_order.b, &lock_order.for_a, &lock_order.for_b);
	send(bpf_get_smp_processor_id() ^ 1);
	use();
	scx_bpf_dsq_insert(p, SHARED_DSQ, 1000000, args[1]);
}

SEC("struct_ops/dispatch")
void races_dispatch(u64 *args)
{
	consume();
	take_remotely(STRUCT_OPS_ARG(args, 0, s32) ^ 1);
	sleep();
	scx_bpf_dsq_move_to_local(SHARED_DSQ);
}

SEC("struct_ops/running")
void races_running(u64 *args)
{
	read_pair();
	look_at_maximum();
	get_or_put(-1);
	lock_both(&lock_order.b, &lock_order.a, &lock_order.for_b, &lock_order.for_a);
	replace();
}

SEC("struct_ops/cpu_online")
void races_cpu_online(u64 *args)
{
	READ(offline.cpu[STRUCT_OPS_ARG(args, 0, s32) & (MAX_CPUS - 1)].online) = 1;
}

SEC("struct_ops/cpu_offline")
void races_cpu_offline(u64 *args)
{
	READ(offline.cpu[STRUCT_OPS_ARG(args, 0, s32) & (MAX_CPUS - 1)].online) = 0;
}

static int drain(void *map, u32 *key, struct ticker *t)
{
	u64 delta = READ(drained.delta);

	work(delta, 20);
	READ(drained.total) += delta;
	READ(drained.delta) = 0;
	bpf_timer_start(&t->timer, 50000, 0);
	return 0;
}

SEC("struct_ops.s/init")
s32 races_init(u64 *args)
{
	u32 zero = 0;
	struct ticker *t = bpf_map_lookup_elem(&tickers, &zero);

	if (!t)
		return -1;
	for (u32 i = 1; i < 7; i++)
		freelist.next[i] = i + 1;
	freelist.head = 1;
	freed.live[0] = 1;
	for (u32 i = 0; i < MAX_CPUS; i++)
		offline.cpu[i].online = 1; /* as far as it is there */
	bpf_timer_init(&t->timer, &tickers, CLOCK_MONOTONIC);
	bpf_timer_set_callback(&t->timer, drain);
	bpf_timer_start(&t->timer, 50000, 0);
	return scx_bpf_create_dsq(SHARED_DSQ, NUMA_NO_NODE);
}

SEC(".struct_ops.link")
struct sched_ext_ops___hotplug races_ops = {
	.enqueue = (void *)races_enqueue,
	.dispatch = (void *)races_dispatch,
	.running = (void *)races_running,
	.cpu_online = (void *)races_cpu_online,
	.cpu_offline = (void *)races_cpu_offline,
	.init = (void *)races_init,
	.timeout_ms = 20000,
	.name = "races",
};
