/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A map of each kind that a first test can read, besides the hash that the
 * starter scheduler has. Each gets a 7.
 */
#define BPF_MAP_TYPE_ARRAY 2
#define BPF_MAP_TYPE_PERCPU_HASH 5
#define BPF_MAP_TYPE_PERCPU_ARRAY 6
#define BPF_MAP_TYPE_TASK_STORAGE 29
#define BPF_F_NO_PREALLOC 1
#define BPF_LOCAL_STORAGE_GET_F_CREATE 1

static void *(*const bpf_task_storage_get)(void *map, struct task_struct *task, void *value,
					   u64 flags) = (void *)156;

struct seven {
	u32 value;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} an_array SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct seven);
} a_percpu_array SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} a_percpu_hash SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, s32);
	__type(value, struct seven);
} a_task_storage SEC(".maps");

static void fill_maps(struct task_struct *p)
{
	struct seven *stored, seven = { 7 };
	u64 value = 7;
	u32 key = 0;

	bpf_map_update_elem(&an_array, &key, &value, BPF_ANY);
	bpf_map_update_elem(&a_percpu_array, &key, &seven, BPF_ANY);
	bpf_map_update_elem(&a_percpu_hash, &key, &value, BPF_ANY);
	stored = bpf_task_storage_get(&a_task_storage, p, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (stored)
		*stored = seven;
}
