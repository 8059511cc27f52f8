// SPDX-License-Identifier: GPL-2.0
/*
 * A scheduler that leaves scheduling to the kernel, and fills lists and trees
 * of objects that it allocates when it is loaded.
 */
typedef signed int s32;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef _Bool bool;

#define SEC(name) __attribute__((section(name), used))
#define __core __attribute__((preserve_access_index))
#define __ksym __attribute__((section(".ksyms")))
#define __kptr __attribute__((btf_type_tag("kptr")))
#define __percpu_kptr __attribute__((btf_type_tag("percpu_kptr")))
#define __uint(name, val) int(*name)[val]
#define __type(name, val) typeof(val) *name
#define holds(type, node) __attribute__((btf_decl_tag("contains:" #type ":" #node)))
#define private(name) SEC(".data." #name) static __attribute__((aligned(8)))
#define new(type) ((type *)bpf_obj_new_impl(__builtin_btf_type_id(*(type *)0, 0), 0))
#define new_percpu(type) \
	((type __percpu_kptr *)bpf_percpu_obj_new_impl(__builtin_btf_type_id(*(type *)0, 0), 0))
#define container_of(ptr, type, member) ((type *)((void *)(ptr) - __builtin_offsetof(type, member)))

#define BPF_MAP_TYPE_HASH 1
#define BPF_MAP_TYPE_ARRAY 2

struct bpf_spin_lock {
	u32 val;
};
struct bpf_list_head {
	u64 __opaque[2];
} __attribute__((aligned(8)));
struct bpf_list_node {
	u64 __opaque[3];
} __attribute__((aligned(8)));
struct bpf_rb_root {
	u64 __opaque[2];
} __attribute__((aligned(8)));
struct bpf_rb_node {
	u64 __opaque[4];
} __attribute__((aligned(8)));

static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*const bpf_map_update_elem)(void *map, const void *key, const void *value,
					 u64 flags) = (void *)2;
static void (*const bpf_spin_lock)(struct bpf_spin_lock *lock) = (void *)93;
static void (*const bpf_spin_unlock)(struct bpf_spin_lock *lock) = (void *)94;
static void *(*const bpf_kptr_xchg)(void *dst, void *ptr) = (void *)194;

static void *(*const bpf_per_cpu_ptr)(const void *percpu, u32 cpu) = (void *)153;

void bpf_rcu_read_lock(void) __ksym;
void bpf_rcu_read_unlock(void) __ksym;
void *bpf_percpu_obj_new_impl(u64 local_type_id, void *meta) __ksym;
void bpf_percpu_obj_drop_impl(void *object, void *meta) __ksym;
void *bpf_obj_new_impl(u64 local_type_id, void *meta) __ksym;
void bpf_obj_drop_impl(void *object, void *meta) __ksym;
int bpf_list_push_back_impl(struct bpf_list_head *head, struct bpf_list_node *node, void *meta,
			    u64 off) __ksym;
struct bpf_list_node *bpf_list_pop_front(struct bpf_list_head *head) __ksym;
int bpf_rbtree_add_impl(struct bpf_rb_root *root, struct bpf_rb_node *node,
			bool(less)(struct bpf_rb_node *a, const struct bpf_rb_node *b), void *meta,
			u64 off) __ksym;

char LICENSE[] SEC("license") = "GPL";

struct parcel {
	u32 number;
	char what[8];
	struct bpf_list_node link; /* not at the start */
	u64 cost;
};

struct account {
	struct bpf_rb_node branch;
	u64 balance;
};

struct meter {
	u32 key;
	u64 count;
};

struct queue {
	struct bpf_spin_lock lock;
	u32 length;
	struct bpf_list_head parcels holds(parcel, link);
	struct parcel __kptr *urgent;
	struct meter __percpu_kptr *meters;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, u32);
	__type(value, struct queue);
} queues SEC(".maps");

private(A) struct bpf_spin_lock lock;
private(A) struct bpf_rb_root accounts holds(account, branch);
private(A) struct bpf_list_head drained holds(parcel, link);
private(A) struct bpf_list_head untouched holds(parcel, link);
u32 nr_failed;

static bool poorer(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	return container_of(a, struct account, branch)->balance <
	       container_of(b, struct account, branch)->balance;
}

static void meter(struct queue *q, u32 key)
{
	struct meter __percpu_kptr *m = new_percpu(struct meter);
	u32 cpu;

	if (!m) {
		nr_failed++;
		return;
	}
	m = bpf_kptr_xchg(&q->meters, m);
	if (m)
		bpf_percpu_obj_drop_impl(m, 0);
	bpf_rcu_read_lock();
	m = q->meters;
	for (cpu = 0; m && cpu < 2; cpu++) {
		struct meter *of = bpf_per_cpu_ptr(m, cpu);

		if (of) {
			of->key = key;
			of->count = 10 * key + cpu;
		}
	}
	bpf_rcu_read_unlock();
}

static void fill_queue(u32 key, u32 length)
{
	struct queue none = {}, *q;
	struct parcel *r;
	u32 i;

	bpf_map_update_elem(&queues, &key, &none, 0);
	q = bpf_map_lookup_elem(&queues, &key);
	if (!q)
		return;
	if (length)
		meter(q, key);
	for (i = 0; i < length && i < 64; i++) {
		r = new (struct parcel);
		if (!r) {
			nr_failed++;
			return;
		}
		r->number = 100 * key + i;
		r->what[0] = 'a' + (i & 15);
		r->what[1] = 0;
		r->cost = 1000 - i;
		bpf_spin_lock(&q->lock);
		bpf_list_push_back_impl(&q->parcels, &r->link, 0, 0);
		q->length++;
		bpf_spin_unlock(&q->lock);
	}
	r = new (struct parcel);
	if (!r)
		return;
	r->number = 7777;
	r->what[0] = 'u';
	r->what[1] = 0;
	r->cost = 0;
	r = bpf_kptr_xchg(&q->urgent, r);
	if (r)
		bpf_obj_drop_impl(r, 0);
}

static void fill_accounts(void)
{
	u32 i;

	for (i = 0; i < 40; i++) {
		struct account *a = new (struct account);

		if (!a) {
			nr_failed++;
			return;
		}
		a->balance = i * 37 % 101;
		bpf_spin_lock(&lock);
		bpf_rbtree_add_impl(&accounts, &a->branch, poorer, 0, 0);
		bpf_spin_unlock(&lock);
	}
}

/* A list that was in use and is empty: its head leads to itself. */
static void drain(void)
{
	struct bpf_list_node *first;
	struct parcel *r = new (struct parcel);

	if (!r)
		return;
	bpf_spin_lock(&lock);
	bpf_list_push_back_impl(&drained, &r->link, 0, 0);
	first = bpf_list_pop_front(&drained);
	bpf_spin_unlock(&lock);
	if (first)
		bpf_obj_drop_impl(container_of(first, struct parcel, link), 0);
}

SEC("struct_ops.s/init")
s32 graphs_init(void)
{
	fill_queue(1, 5);
	fill_queue(2, 1);
	fill_queue(3, 0);
	fill_accounts();
	drain();
	return 0;
}

struct sched_ext_ops {
	s32 (*init)(void);
	u32 timeout_ms;
	char name[128];
};

SEC(".struct_ops.link")
struct sched_ext_ops graphs_ops = {
	.init = (void *)graphs_init,
	.timeout_ms = 5000,
	.name = "graphs",
};
