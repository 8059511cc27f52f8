// SPDX-License-Identifier: GPL-2.0
/*
 * budget: one queue. A token bucket, which a timer fills, decides how long slices are. Tasks
 * have their accounts in an arena, and another timer ages them. It counts by cgroup and by
 * class of tasks.
 *
 * It schedules well. Each bit of @bugs takes out what keeps one piece of its bookkeeping right
 * between CPUs.
 */
#include <scx/common.bpf.h>
#include <scx/bpf_arena_common.bpf.h>

char LICENSE[] SEC("license") = "GPL";

#define SHARED_DSQ 0
#define NR_ACCOUNTS 512
#define NR_HINTS 64
#define NR_CLASSES 4

enum bug {
	BUG_TOKENS = 1 << 0,	/* bucket that timer and stopping change, not atomic */
	BUG_FREED = 1 << 1,	/* account that the timer ages after exit_task has freed it */
	BUG_INBOX = 1 << 2,	/* list pushed without a lock */
	BUG_CLASS = 1 << 3,	/* entry of a map that the timer takes out between lookup and update */
	BUG_HINT = 1 << 4,	/* ring with two readers */
	BUG_LOCK = 1 << 5,	/* lock forgotten on one path */
	BUG_WEIGHT = 1 << 6,	/* weight of a cgroup changed while its tasks come and go */
	BUG_WAKEUP = 1 << 7,	/* sleeps without looking again */
};

const volatile u32 bugs = ~0;

/* The bucket, in ns. */
struct tokens {
	s64 tokens;
	s64 filled;
	s64 spent;
};

struct tokens bucket;

#define REFILL 200000
#define CAPACITY 20000000

/* The account of a task. A free one is all 0 but for its link. */
struct account {
	u32 pid;
	u32 age;
	u32 aged_pid;	/* whose it was when it was aged */
	u32 busy;
	u32 listed;
	u32 owes;
	struct account __arena *next;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARENA);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 16);
	__ulong(map_extra, 0x1ull << 44);
} arena SEC(".maps");

/* A program may follow pointers into the arena if it refers to it. */
static __always_inline void use_arena(void)
{
	asm volatile("" ::"r"(&arena));
}

struct account __arena *accounts;
struct account __arena *inbox;	/* of accounts that owe */
u64 nr_pushed;
u64 nr_popped;

struct task_ctx {
	struct account __arena *account;
	u64 started_at;
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct task_ctx);
} task_ctxs SEC(".maps");

/* What a class of tasks did lately. */
struct class_count {
	u64 nr_enqueued;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, u32);
	__type(value, struct class_count);
} classes SEC(".maps");

u64 nr_enqueued;
u64 nr_expired;	/* of those, that were in entries which have been taken out */

/* Tasks that dispatch looks at first. */
u32 hints[NR_HINTS];
u32 hint_head, hint_tail;
u32 nr_hints_taken;

struct usage {
	struct bpf_spin_lock lock;
	u64 runtime;
	u64 runs;
	u64 yields;
	u64 events;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct usage);
} usages SEC(".maps");

u64 nr_stopping;
u64 nr_yields;

struct cgroup_ctx {
	struct bpf_spin_lock lock;
	u32 weight;
	u32 nr_runnable;
};

struct {
	__uint(type, BPF_MAP_TYPE_CGRP_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct cgroup_ctx);
} cgroup_ctxs SEC(".maps");

s64 total_weight;	/* of cgroups with runnable tasks */

/* The requests that the worker, a timer, has to serve. */
u32 pending;	/* the worker is on its way */
u64 nr_requests;
u64 nr_served;
u32 nr_requesting;
u64 nr_slept;	/* times that it slept with a request to serve */

bool quit;	/* timers end */

struct timer_value {
	struct bpf_timer timer;
};

enum { TIMER_REFILL, TIMER_AGE, TIMER_WORKER, NR_TIMERS };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, NR_TIMERS);
	__type(key, u32);
	__type(value, struct timer_value);
} timers SEC(".maps");

static void start(u32 which, u64 ns)
{
	struct timer_value *v = bpf_map_lookup_elem(&timers, &which);

	if (v)
		bpf_timer_start(&v->timer, ns, 0);
}

static int refill(void *map, int *key, struct bpf_timer *timer)
{
	if (bugs & BUG_TOKENS) {
		s64 have = READ_ONCE(bucket.tokens);
		s64 after = have + REFILL;

		if (after > CAPACITY)
			after = CAPACITY;
		__sync_fetch_and_add(&bucket.filled, after - have);
		WRITE_ONCE(bucket.tokens, after);
	} else if (READ_ONCE(bucket.tokens) < CAPACITY - REFILL) {
		__sync_fetch_and_add(&bucket.filled, REFILL);
		__sync_fetch_and_add(&bucket.tokens, REFILL);
	}
	if (!quit)
		bpf_timer_start(timer, 100000, 0);
	return 0;
}

static int expire_class(u32 class)
{
	struct class_count *c = bpf_map_lookup_elem(&classes, &class);

	if (!c)
		return 0;
	if (bugs & BUG_CLASS) {
		__sync_fetch_and_add(&nr_expired, READ_ONCE(c->nr_enqueued));
		bpf_map_delete_elem(&classes, &class);
	} else {
		__sync_fetch_and_add(&nr_expired, __sync_lock_test_and_set(&c->nr_enqueued, 0));
	}
	return 0;
}

static void age_account(struct account __arena *a)
{
	u32 pid, bits, age;

	if (!(bugs & BUG_FREED) && __sync_lock_test_and_set(&a->busy, 1))
		return;
	pid = a->pid;
	if (pid) {
		/* older by one, in Gray code */
		age = a->age;
		bits = age ^ age >> 1;
		bits ^= bits >> 2;
		bits ^= bits >> 4;
		bits ^= bits >> 8;
		bits ^= bits >> 16;
		bits++;
		a->age = bits ^ bits >> 1;
		a->aged_pid = pid;
	}
	if (!(bugs & BUG_FREED))
		__sync_lock_test_and_set(&a->busy, 0);
}

static int age(void *map, int *key, struct bpf_timer *timer)
{
	struct account __arena *all = accounts;
	struct account __arena *a;
	u32 i;

	use_arena();
	bpf_for(i, 0, NR_CLASSES)
		expire_class(i);
	if (all) {
		bpf_for(i, 0, NR_ACCOUNTS) {
			a = &all[i];
			if (a->pid)
				age_account(a);
		}
		a = (void __arena *)__sync_lock_test_and_set((u64 *)&inbox, 0);
		bpf_for(i, 0, NR_ACCOUNTS) {
			struct account __arena *next;

			if (!a)
				break;
			next = a->next;
			a->owes = 0;
			a->next = NULL;
			__sync_fetch_and_add(&nr_popped, 1);
			__sync_lock_test_and_set(&a->listed, 0);
			a = next;
		}
	}
	if (!quit)
		bpf_timer_start(timer, 150000, 0);
	return 0;
}

static int worker(void *map, int *key, struct bpf_timer *timer)
{
	u64 want;
	int i;

	bpf_for(i, 0, 100) {
		want = READ_ONCE(nr_requests);
		if (want == READ_ONCE(nr_served)) {
			if (bugs & BUG_WAKEUP) {
				WRITE_ONCE(pending, 0);
				return 0;
			}
			__sync_lock_test_and_set(&pending, 0);
			if (READ_ONCE(nr_requests) == want || __sync_lock_test_and_set(&pending, 1))
				return 0;
			continue;
		}
		WRITE_ONCE(nr_served, want);
	}
	bpf_timer_start(timer, 1000, 0);
	return 0;
}

static void request(void)
{
	bool alone = __sync_fetch_and_add(&nr_requesting, 1) == 0;
	u64 before = __sync_fetch_and_add(&nr_requests, 1);

	if (!__sync_lock_test_and_set(&pending, 1)) {
		if (alone && READ_ONCE(nr_requesting) == 1 && READ_ONCE(nr_served) < before)
			__sync_fetch_and_add(&nr_slept, 1);
		start(TIMER_WORKER, 20000);
	}
	__sync_fetch_and_add(&nr_requesting, -1);
}

static void push(struct account __arena *a)
{
	use_arena();
	a->owes++;
	if (__sync_lock_test_and_set(&a->listed, 1))
		return;
	__sync_fetch_and_add(&nr_pushed, 1);
	if (bugs & BUG_INBOX) {
		a->next = inbox;
		inbox = a;
	} else {
		struct account __arena *first;
		int i;

		bpf_for(i, 0, 1000) {
			first = *(struct account __arena * volatile *)&inbox;
			a->next = first;
			if (__sync_val_compare_and_swap((u64 *)&inbox, (u64)first, (u64)a) == (u64)first)
				break;
		}
	}
}

static void count_class(u32 class)
{
	struct class_count *c = bpf_map_lookup_elem(&classes, &class);
	struct class_count first = { .nr_enqueued = 1 };

	__sync_fetch_and_add(&nr_enqueued, 1);
	if (c)
		__sync_fetch_and_add(&c->nr_enqueued, 1);
	else if (bpf_map_update_elem(&classes, &class, &first, bugs & BUG_CLASS ? BPF_ANY : BPF_NOEXIST)) {
		c = bpf_map_lookup_elem(&classes, &class);
		if (c)
			__sync_fetch_and_add(&c->nr_enqueued, 1);
	}
}

static void put_hint(u32 pid)
{
	u32 tail = READ_ONCE(hint_tail);

	if (tail - READ_ONCE(hint_head) >= NR_HINTS - 8)
		return;
	tail = __sync_fetch_and_add(&hint_tail, 1);
	WRITE_ONCE(hints[tail % NR_HINTS], pid);
}

static u32 take_hint(void)
{
	u32 head = READ_ONCE(hint_head);
	u32 pid;

	if (head == READ_ONCE(hint_tail))
		return 0;
	pid = READ_ONCE(hints[head % NR_HINTS]);
	if (bugs & BUG_HINT)
		WRITE_ONCE(hint_head, head + 1);
	else if (__sync_val_compare_and_swap(&hint_head, head, head + 1) != head)
		return 0;
	__sync_fetch_and_add(&nr_hints_taken, 1);
	return pid;
}

void BPF_STRUCT_OPS(budget_enqueue, struct task_struct *p, u64 enq_flags)
{
	struct task_ctx *tctx = bpf_task_storage_get(&task_ctxs, p, 0, 0);
	u64 slice = READ_ONCE(bucket.tokens) > 0 ? 2000000 : 500000;

	count_class((u32)p->pid % NR_CLASSES);
	if (tctx && tctx->account)
		push(tctx->account);
	put_hint(p->pid);
	if (!(p->pid & 1))
		request();
	scx_bpf_dsq_insert(p, SHARED_DSQ, slice, enq_flags);
}

void BPF_STRUCT_OPS(budget_dispatch, s32 cpu, struct task_struct *prev)
{
	u32 pid = take_hint();
	struct task_struct *p;

	if (pid) {
		bpf_for_each(scx_dsq, p, SHARED_DSQ, 0) {
			if (p->pid == pid && bpf_cpumask_test_cpu(cpu, p->cpus_ptr) &&
			    scx_bpf_dsq_move(BPF_FOR_EACH_ITER, p, SCX_DSQ_LOCAL, 0))
				return;
		}
	}
	scx_bpf_dsq_move_to_local(SHARED_DSQ, 0);
}

bool BPF_STRUCT_OPS(budget_yield, struct task_struct *from, struct task_struct *to)
{
	u32 key = 0;
	struct usage *u = bpf_map_lookup_elem(&usages, &key);

	if (!to)
		from->scx.slice = 0;
	__sync_fetch_and_add(&nr_yields, 1);
	if (!u)
		return false;
	if (bugs & BUG_LOCK) {
		u->yields++;
		u->events++;
	} else {
		bpf_spin_lock(&u->lock);
		u->yields++;
		u->events++;
		bpf_spin_unlock(&u->lock);
	}
	return false;
}

static struct cgroup_ctx *cgroup_of(struct task_struct *p)
{
	struct cgroup *cgrp = scx_bpf_task_cgroup(p);
	struct cgroup_ctx *cgc;

	if (!cgrp)
		return NULL;
	cgc = bpf_cgrp_storage_get(&cgroup_ctxs, cgrp, 0, 0);
	bpf_cgroup_release(cgrp);
	return cgc;
}

static void come(struct cgroup_ctx *cgc)
{
	if (bugs & BUG_WEIGHT) {
		if (__sync_fetch_and_add(&cgc->nr_runnable, 1) == 0)
			__sync_fetch_and_add(&total_weight, READ_ONCE(cgc->weight));
		return;
	}
	bpf_spin_lock(&cgc->lock);
	if (cgc->nr_runnable++ == 0)
		__sync_fetch_and_add(&total_weight, cgc->weight);
	bpf_spin_unlock(&cgc->lock);
}

static void go(struct cgroup_ctx *cgc)
{
	if (bugs & BUG_WEIGHT) {
		if (__sync_fetch_and_add(&cgc->nr_runnable, -1) == 1)
			__sync_fetch_and_add(&total_weight, -(s64)READ_ONCE(cgc->weight));
		return;
	}
	bpf_spin_lock(&cgc->lock);
	if (--cgc->nr_runnable == 0)
		__sync_fetch_and_add(&total_weight, -(s64)cgc->weight);
	bpf_spin_unlock(&cgc->lock);
}

void BPF_STRUCT_OPS(budget_runnable, struct task_struct *p, u64 enq_flags)
{
	struct cgroup_ctx *cgc = cgroup_of(p);

	if (cgc)
		come(cgc);
}

void BPF_STRUCT_OPS(budget_quiescent, struct task_struct *p, u64 deq_flags)
{
	struct cgroup_ctx *cgc = cgroup_of(p);

	if (cgc)
		go(cgc);
}

void BPF_STRUCT_OPS(budget_cgroup_set_weight, struct cgroup *cgrp, u32 weight)
{
	struct cgroup_ctx *cgc = bpf_cgrp_storage_get(&cgroup_ctxs, cgrp, 0, 0);

	if (!cgc)
		return;
	if (bugs & BUG_WEIGHT) {
		if (READ_ONCE(cgc->nr_runnable))
			__sync_fetch_and_add(&total_weight, (s64)weight - READ_ONCE(cgc->weight));
		WRITE_ONCE(cgc->weight, weight);
		return;
	}
	bpf_spin_lock(&cgc->lock);
	if (cgc->nr_runnable)
		__sync_fetch_and_add(&total_weight, (s64)weight - cgc->weight);
	cgc->weight = weight;
	bpf_spin_unlock(&cgc->lock);
}

s32 BPF_STRUCT_OPS_SLEEPABLE(budget_cgroup_init, struct cgroup *cgrp, struct scx_cgroup_init_args *args)
{
	struct cgroup_ctx *cgc = bpf_cgrp_storage_get(&cgroup_ctxs, cgrp, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (!cgc)
		return -ENOMEM;
	cgc->weight = args->weight;
	return 0;
}

void BPF_STRUCT_OPS(budget_running, struct task_struct *p)
{
	struct task_ctx *tctx = bpf_task_storage_get(&task_ctxs, p, 0, 0);

	if (tctx)
		tctx->started_at = bpf_ktime_get_ns();
}

void BPF_STRUCT_OPS(budget_stopping, struct task_struct *p, bool runnable)
{
	struct task_ctx *tctx = bpf_task_storage_get(&task_ctxs, p, 0, 0);
	u32 key = 0;
	struct usage *u = bpf_map_lookup_elem(&usages, &key);
	s64 ran;

	if (!tctx)
		return;
	ran = bpf_ktime_get_ns() - tctx->started_at;
	__sync_fetch_and_add(&bucket.spent, ran);
	if (bugs & BUG_TOKENS)
		WRITE_ONCE(bucket.tokens, READ_ONCE(bucket.tokens) - ran);
	else
		__sync_fetch_and_add(&bucket.tokens, -ran);

	__sync_fetch_and_add(&nr_stopping, 1);
	if (u) {
		bpf_spin_lock(&u->lock);
		u->runtime += ran;
		u->runs++;
		u->events++;
		bpf_spin_unlock(&u->lock);
	}
}

static struct account __arena *open_account(u32 pid)
{
	struct account __arena *all = accounts;
	u32 i;

	use_arena();
	if (!all)
		return NULL;
	bpf_for(i, 0, NR_ACCOUNTS) {
		u32 at = (pid + i) % NR_ACCOUNTS;
		struct account __arena *a = &all[at];

		if (!__sync_val_compare_and_swap(&a->pid, 0, pid))
			return a;
	}
	return NULL;
}

s32 BPF_STRUCT_OPS_SLEEPABLE(budget_init_task, struct task_struct *p, struct scx_init_task_args *args)
{
	struct task_ctx *tctx = bpf_task_storage_get(&task_ctxs, p, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (!tctx)
		return -ENOMEM;
	tctx->account = open_account(p->pid);
	return 0;
}

void BPF_STRUCT_OPS(budget_exit_task, struct task_struct *p, struct scx_exit_task_args *args)
{
	struct task_ctx *tctx = bpf_task_storage_get(&task_ctxs, p, 0, 0);
	struct account __arena *a;
	int i;

	use_arena();
	if (!tctx)
		return;
	a = tctx->account;
	if (!a)
		return;
	tctx->account = NULL;
	if (!(bugs & BUG_FREED)) {
		bpf_for(i, 0, 100000) {
			if (!__sync_lock_test_and_set(&a->busy, 1))
				break;
		}
	}
	*(volatile u32 __arena *)&a->age = 0;
	*(volatile u32 __arena *)&a->aged_pid = 0;
	*(volatile u32 __arena *)&a->pid = 0;
	if (!(bugs & BUG_FREED))
		__sync_lock_test_and_set(&a->busy, 0);
}

s32 BPF_STRUCT_OPS_SLEEPABLE(budget_init)
{
	struct timer_value *v;
	u32 key;

	accounts = bpf_arena_alloc_pages(&arena, NULL, (NR_ACCOUNTS * sizeof(struct account) + 4095) / 4096, NUMA_NO_NODE, 0);
	if (!accounts)
		return -ENOMEM;
	key = TIMER_REFILL;
	v = bpf_map_lookup_elem(&timers, &key);
	if (!v || bpf_timer_init(&v->timer, &timers, 1) || bpf_timer_set_callback(&v->timer, refill) ||
	    bpf_timer_start(&v->timer, 100000, 0))
		return -EINVAL;
	key = TIMER_AGE;
	v = bpf_map_lookup_elem(&timers, &key);
	if (!v || bpf_timer_init(&v->timer, &timers, 1) || bpf_timer_set_callback(&v->timer, age) ||
	    bpf_timer_start(&v->timer, 100000, 0))
		return -EINVAL;
	key = TIMER_WORKER;
	v = bpf_map_lookup_elem(&timers, &key);
	if (!v || bpf_timer_init(&v->timer, &timers, 1) || bpf_timer_set_callback(&v->timer, worker))
		return -EINVAL;
	return scx_bpf_create_dsq(SHARED_DSQ, -1);
}

SCX_OPS_DEFINE(budget_ops,
	       .enqueue			= (void *)budget_enqueue,
	       .dispatch		= (void *)budget_dispatch,
	       .yield			= (void *)budget_yield,
	       .runnable		= (void *)budget_runnable,
	       .quiescent		= (void *)budget_quiescent,
	       .running			= (void *)budget_running,
	       .stopping		= (void *)budget_stopping,
	       .cgroup_init		= (void *)budget_cgroup_init,
	       .cgroup_set_weight	= (void *)budget_cgroup_set_weight,
	       .init_task		= (void *)budget_init_task,
	       .exit_task		= (void *)budget_exit_task,
	       .init			= (void *)budget_init,
	       .timeout_ms		= 5000,
	       .name			= "budget");
