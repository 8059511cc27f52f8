// SPDX-License-Identifier: GPL-2.0
/* A scheduler that keeps its own objects in an arena, as newer ones of
 * sched_ext do: an allocator of two levels, a topology tree, task contexts, a
 * queue, a heap, a list with locks. Its pointers have types, for the ruler to
 * hide. */
#include "../cast.h"

#define __arena __attribute__((address_space(1)))
#define cast_kern(ptr) do { } while (0)
#define MAX_CHILDREN 8
#define HEAP 64

extern void __arena *bpf_arena_alloc_pages(void *map, void __arena *addr, u32 pages, int node, u64 flags) __ksym;

struct {
	__uint(type, ARENA);
	__uint(map_flags, 1024);
	__uint(max_entries, 1000);
} arena SEC(".maps");

struct bitmap {
	u64 bits[8];
};

struct topology {
	struct topology __arena *parent;
	struct topology __arena *children[MAX_CHILDREN];
	u64 nr_children;
	struct bitmap __arena *mask;
	u32 level;
	u32 id;
	struct llc __arena *data;
};

struct llc {
	u32 id;
	u32 nr_cpus;
	u64 vtime;
	u64 load;
	struct bitmap __arena *cpus;
	struct queue __arena *queue;
	struct llc __arena *next;
};

struct task_ctx {
	u64 tid;
	u64 pid;
	u64 vtime;
	u64 slice;
	struct llc __arena *llc;
	struct bitmap __arena *allowed;
	struct task_ctx __arena *waker;
	u32 flags;
	u32 weight;
};

struct heap_elem {
	u64 elem;
	u64 weight;
};

struct heap {
	u64 size;
	u64 capacity;
	struct heap_elem elems[HEAP];
};

struct queue_node {
	struct queue_node __arena *next;
	struct queue_node __arena *prev;
	struct task_ctx __arena *task;
	u64 key;
};

struct queue {
	u64 lock;
	u64 size;
	struct queue_node __arena *head;
	struct queue_node __arena *tail;
	struct heap __arena *heap;
};

struct pool {
	void __arena *slab;
	u64 elem_size;
	u64 max;
	u64 idx;
};

struct map_val {
	u64 tid;
	struct task_ctx __arena *data;
};

struct {
	__uint(type, TASK_STORAGE);
	__uint(map_flags, 1);
	__type(key, s32);
	__type(value, struct map_val);
} task_map SEC(".maps");

struct pool task_pool;
struct topology __arena *topo_all;
struct topology __arena *topo_nodes[4];
struct llc __arena *llcs[16];
struct queue __arena *overflow;
u64 nr_llcs;

static void __arena *pool_alloc(struct pool *pool)
{
	void __arena *slab;

	if (pool->idx >= pool->max) {
		slab = bpf_arena_alloc_pages(&arena, NULL, 4, -1, 0);
		if (!slab)
			return NULL;
		pool->slab = slab;
		pool->idx = 0;
	}
	slab = (void __arena *)((u64)pool->slab + pool->elem_size * pool->idx);
	pool->idx++;
	return slab;
}

__weak u64 static_alloc_internal(u64 size)
{
	static u64 memory, used;

	if (!memory)
		memory = (u64)bpf_arena_alloc_pages(&arena, NULL, 16, -1, 0);
	used += size;
	return memory + used;
}

#define static_alloc(size) ((void __arena *)static_alloc_internal(size))

static __noinline struct topology __arena *topo_new(struct topology __arena *parent, u32 id)
{
	struct topology __arena *topo = static_alloc(sizeof(*topo));

	if (!topo)
		return NULL;
	topo->parent = parent;
	topo->nr_children = 0;
	topo->level = parent ? parent->level + 1 : 0;
	topo->id = id;
	topo->mask = static_alloc(sizeof(struct bitmap));
	if (!topo->mask)
		return NULL;
	topo->mask->bits[0] = 1 << (id & 31);
	topo->mask->bits[1] = 0;
	if (parent && parent->nr_children < MAX_CHILDREN) {
		parent->children[parent->nr_children & 7] = topo;
		parent->nr_children++;
	}
	return topo;
}

static __noinline int queue_push(struct queue __arena *q, struct task_ctx __arena *taskc, u64 key)
{
	struct queue_node __arena *n = static_alloc(sizeof(*n));

	if (!n || !q)
		return -1;
	n->task = taskc;
	n->key = key;
	n->next = NULL;
	n->prev = q->tail;
	if (q->tail)
		q->tail->next = n;
	else
		q->head = n;
	q->tail = n;
	q->size++;
	if (q->heap && q->heap->size < HEAP) {
		u64 at = q->heap->size & (HEAP - 1);

		q->heap->elems[at].elem = (u64)n;
		q->heap->elems[at].weight = key;
		q->heap->size++;
	}
	return 0;
}

static struct task_ctx __arena *task_data(struct task_struct *p)
{
	struct map_val *v = bpf_task_storage_get(&task_map, p, NULL, 0);

	return v ? v->data : NULL;
}

SEC("struct_ops/init_task")
int init_task(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct map_val *v = bpf_task_storage_get(&task_map, p, NULL, 1);
	struct task_ctx __arena *taskc;
	struct llc __arena *llc;
	u32 i = bpf_get_prandom_u32();

	if (!v)
		return 1;
	if (!topo_all) {
		topo_all = topo_new(NULL, 0);
		topo_nodes[i & 3] = topo_new(topo_all, i);
		llc = static_alloc(sizeof(*llc));
		if (!llc)
			return 1;
		llc->id = i;
		llc->nr_cpus = 4;
		llc->vtime = 0;
		llc->cpus = static_alloc(sizeof(struct bitmap));
		llc->queue = static_alloc(sizeof(struct queue));
		llc->queue->size = 0;
		llc->queue->heap = static_alloc(sizeof(struct heap));
		llc->queue->heap->size = 0;
		llc->queue->heap->capacity = HEAP;
		llc->next = llcs[0];
		llcs[i & 15] = llc;
		topo_all->data = llc;
		nr_llcs++;
	}
	taskc = pool_alloc(&task_pool);
	if (!taskc)
		return 1;
	taskc->tid = v->tid;
	taskc->pid = p->pid;
	taskc->slice = 20000;
	taskc->weight = 100;
	taskc->llc = llcs[i & 15];
	taskc->allowed = static_alloc(sizeof(struct bitmap));
	taskc->allowed->bits[i & 7] = ~0ULL;
	v->data = taskc;
	return 0;
}

SEC("struct_ops/enqueue")
void enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ARG(ctx, 0);
	struct task_ctx __arena *taskc = task_data(p), *waker = task_data(bpf_get_current_task_btf());
	struct llc __arena *llc;
	struct topology __arena *topo;

	if (!taskc)
		return;
	llc = taskc->llc;
	taskc->waker = waker;
	if (waker)
		waker->flags |= 1;
	if (!llc)
		return;
	if (llc->load > 10 && llc->next)
		llc = llc->next;
	if (llc->cpus && llc->cpus->bits[0] & taskc->allowed->bits[0])
		llc->load++;
	queue_push(llc->queue, taskc, taskc->vtime);
	if (overflow && overflow->size < 8)
		queue_push(overflow, taskc, taskc->slice);
	topo = topo_nodes[1];
	if (topo && topo->parent && topo->parent->children[0])
		topo->parent->children[0]->level = 7;
	if (topo && topo->mask)
		topo->mask->bits[3] |= 2;
	if (topo && topo->data)
		topo->data->vtime = taskc->vtime;
}

SEC("struct_ops/dispatch")
void dispatch(u64 *ctx)
{
	struct task_struct *prev = (void *)ARG(ctx, 1);
	struct task_ctx __arena *taskc;
	struct queue __arena *q;
	struct queue_node __arena *n;
	struct llc __arena *llc = llcs[0];

	if (!llc)
		return;
	q = llc->queue;
	if (!q || !q->size)
		return;
	n = q->head;
	if (!n)
		return;
	q->head = n->next;
	if (n->next)
		n->next->prev = NULL;
	q->size--;
	taskc = n->task;
	if (taskc && taskc->waker)
		taskc->waker->vtime += taskc->slice;
	if (!overflow)
		overflow = q;
}

SEC(".struct_ops.link")
struct test_ops ops = {
	.enqueue = (void *)enqueue,
	.dispatch = (void *)dispatch,
	.init_task = (void *)init_task,
};
