// SPDX-License-Identifier: GPL-2.0
/* Objects that lie in others, and pointers to both. */
typedef signed int s32;
typedef unsigned int u32;
typedef unsigned long long u64;

#define SEC(name) __attribute__((section(name), used))
#define __uint(name, val) int(*name)[val]
#define __type(name, val) typeof(val) *name
#define MAP(name, kind, n, key_type, value_type) \
	struct { \
		__uint(type, kind); \
		__uint(max_entries, n); \
		__type(key, key_type); \
		__type(value, value_type); \
	} name SEC(".maps")

struct link {
	struct link *next;
};

struct fifo {
	struct link link; /* at the start */
	u64 id;
	struct link spare[2];
};

struct queues {
	u64 number;
	struct fifo fifos[5];
	union {
		struct link link;
		u64 raw;
	} either;
	u32 low : 4;
	u32 high : 28;
	char name[8];
};

/* Each of its pointers can lead into any of the others. */
struct head {
	struct fifo *fifo;
	struct link *link;
	u64 *number;
	struct queues *queues;
	struct fifo (*all)[5];
	struct node *node;
};

/* Is known by pointers only. */
struct node {
	struct fifo fifo; /* at the start */
	struct queues queues;
	struct head head;
};

struct item {
	u64 cost;
	struct head head;
	struct fifo fifo;
};

MAP(arrays, 2, 4, u32, struct queues);
MAP(hashes, 1, 4, u32, struct queues);
MAP(percpu, 6, 2, u32, struct queues);
MAP(heads, 1, 8, u32, struct head);
MAP(others, 2, 4, u32, struct head);
struct {
	__uint(type, 33); /* BPF_MAP_TYPE_ARENA */
	__uint(map_flags, 1 << 10); /* BPF_F_MMAPABLE */
	__uint(max_entries, 16);
} arena SEC(".maps");

struct queues mine;
struct head first;
struct fifo many[1 << 14]; /* read element by element */
struct queues row[3] SEC(".data.row"); /* of any length, as the last of its section */
u64 counter;
struct item *items;
struct node *nodes;

static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;

SEC("syscall")
int run(u32 *ctx)
{
	void *maps[] = { &arrays, &hashes, &percpu, &heads, &others, &arena };
	u64 sum = mine.number + first.fifo->id + first.node->head.queues->number + many[*ctx & 1023].id + counter + items->cost + nodes->fifo.id + row[*ctx & 1].number;

	for (u32 i = 0; i < 5; i++)
		sum += bpf_map_lookup_elem(maps[i], ctx) != 0;
	return sum;
}

char LICENSE[] SEC("license") = "GPL";
