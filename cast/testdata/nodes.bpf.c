// SPDX-License-Identifier: GPL-2.0
/* Objects that the program allocates, by the id of their type, and keeps in
 * lists and trees, which declaration tags give the type of. */
#include "cast.h"

#define __contains(type, node) __attribute__((btf_decl_tag("contains:" #type ":" #node)))

struct bpf_spin_lock {
	u32 val;
};
struct bpf_list_head {
	u64 opaque[2];
} __attribute__((aligned(8)));
struct bpf_list_node {
	u64 opaque[3];
} __attribute__((aligned(8)));
struct bpf_rb_root {
	u64 opaque[2];
} __attribute__((aligned(8)));
struct bpf_rb_node {
	u64 opaque[4];
} __attribute__((aligned(8)));

extern void *bpf_obj_new_impl(u64 type_id, void *meta) __ksym;
extern struct bpf_list_node *bpf_list_pop_front(struct bpf_list_head *head) __ksym;
extern struct bpf_rb_node *bpf_rbtree_first(struct bpf_rb_root *root) __ksym;
#define bpf_obj_new(type) ((type *)bpf_obj_new_impl(__builtin_btf_type_id(*(type *)0, 0), NULL))

struct waiter {
	u64 since;
	struct bpf_list_node node;
	struct bpf_rb_node rb;
};

struct queue {
	struct bpf_spin_lock lock;
	struct bpf_list_head waiters __contains(waiter, node);
	u64 last;
};

SINGLE(queues, struct queue);

struct bpf_rb_root tree SEC(".data.tree") __contains(waiter, rb);

u64 fresh;
u64 first;
u64 node;

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct queue *q = LOOKUP(queues);
	struct bpf_list_node *n;
	struct bpf_rb_node *r;

	fresh = (u64)bpf_obj_new(struct waiter); /* want .bss.fresh -> struct waiter (kernel, proven) */
	if (!q)
		return;
	n = bpf_list_pop_front(&q->waiters);
	if (n)
		q->last = (u64)((void *)n - __builtin_offsetof(struct waiter, node)); /* want queue.last -> struct waiter (kernel, proven) */
	r = bpf_rbtree_first(&tree);
	if (!r)
		return;
	node = (u64)r; /* want .bss.node -> struct bpf_rb_node (kernel, proven) */
	first = (u64)((void *)r - __builtin_offsetof(struct waiter, rb)); /* want .bss.first -> struct waiter (kernel, proven) */
}

OPS(enqueue, enqueue);
