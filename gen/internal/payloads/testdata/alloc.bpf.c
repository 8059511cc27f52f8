// SPDX-License-Identifier: GPL-2.0
/* Two allocators, each with a header of its own in front of what it hands out. */
#include "alloc.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARENA);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 64);
	__ulong(map_extra, 1ULL << 44);
} arena SEC(".maps");

static __always_inline void use_arena(void)
{
	asm volatile("" ::"r"(&arena));
}

/* As in tools/sched_ext/scx_sdt.h: the BTF of the object declares sdt_data only. */
union sdt_id {
	s64 val;
	struct {
		s32 idx;
		s32 genn;
	};
};

struct sdt_data {
	union sdt_id tid;
	u64 payload[];
};

struct task_slot {
	union sdt_id tid;
	u64 tptr;
	struct sdt_data __arena *data;
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct task_slot);
} task_slots SEC(".maps");

/* A header that BTF defines, as functions take it. */
struct cpu_head {
	u32 cpu;
	u32 uses;
	u64 since;
	char rest[];
};

struct cpu_slot {
	struct cpu_head __arena *head;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_CPUS);
	__type(key, u32);
	__type(value, struct cpu_slot);
} cpu_slots SEC(".maps");

/* A header in front of a few words: what is there is no larger. */
struct word_head {
	u32 uses;
	u32 size;
	u64 words[2];
};

struct word_head __arena *words;
char __arena *task_pool;
char __arena *cpu_pool;
u64 task_size;
u32 nr_tasks;

#define CPU_SIZE 64

__hidden int alloc_init(u64 size)
{
	task_size = size + sizeof(struct sdt_data);
	task_pool = bpf_arena_alloc_pages(&arena, NULL, 32, NUMA_NO_NODE, 0);
	cpu_pool = bpf_arena_alloc_pages(&arena, NULL, 1, NUMA_NO_NODE, 0);
	words = (struct word_head __arena *)(cpu_pool + MAX_CPUS * CPU_SIZE);
	return task_pool && cpu_pool ? 0 : -12;
}

__hidden void __arena *task_alloc(struct task_struct *p)
{
	struct task_slot *slot = bpf_task_storage_get(&task_slots, p, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	u32 nr = __sync_fetch_and_add(&nr_tasks, 1);
	struct sdt_data __arena *data;

	use_arena();
	if (!slot || nr >= MAX_TASKS)
		return NULL;
	data = (struct sdt_data __arena *)(task_pool + nr * task_size);
	data->tid.idx = nr;
	data->tid.genn = 1;
	slot->tid = data->tid;
	slot->tptr = (u64)p;
	slot->data = data;
	return data->payload;
}

__hidden void __arena *task_data(struct task_struct *p)
{
	struct task_slot *slot = bpf_task_storage_get(&task_slots, p, NULL, 0);

	use_arena();
	if (!slot || !slot->data)
		return NULL;
	return slot->data->payload;
}

static __noinline void use_head(struct cpu_head __arena *head, u32 cpu)
{
	use_arena();
	head->cpu = cpu;
	head->uses++;
	head->since = bpf_ktime_get_ns();
}

__hidden void __arena *cpu_data(u32 cpu)
{
	struct cpu_slot *slot = bpf_map_lookup_elem(&cpu_slots, &cpu);

	use_arena();
	if (!slot)
		return NULL;
	if (!slot->head)
		slot->head = (struct cpu_head __arena *)(cpu_pool + (cpu & (MAX_CPUS - 1)) * CPU_SIZE);
	use_head(slot->head, cpu);
	return slot->head->rest;
}
