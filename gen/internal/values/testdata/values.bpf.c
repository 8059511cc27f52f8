// SPDX-License-Identifier: GPL-2.0
/*
 * A scheduler that leaves scheduling to the kernel. Its maps and variables have
 * values of kinds that few programs have; init fills what is not initialised.
 */
typedef signed int s32;
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define SEC(name) __attribute__((section(name), used))
#define __uint(name, val) int(*name)[val]
#define __type(name, val) typeof(val) *name

#define BPF_MAP_TYPE_PERCPU_ARRAY 6

static void *(*const bpf_map_lookup_percpu_elem)(void *map, const void *key, u32 cpu) = (void *)195;

char LICENSE[] SEC("license") = "GPL";

/* its values have no type */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__uint(key_size, 4);
	__uint(value_size, 8);
} raw_counts SEC(".maps");

/* as the kernel makes ids of dispatch queues */
enum queue {
	Q_BUILTIN = 1ULL << 63,
	Q_ON = 1ULL << 62,
	Q_NONE = Q_BUILTIN,
	Q_GLOBAL = Q_BUILTIN | 1,
	Q_LOCAL = Q_BUILTIN | 2,
	Q_LOCAL_ON = Q_BUILTIN | Q_ON,
	Q_CPUS = 0xffffffffULL,
};
enum queue last[5] = { Q_LOCAL_ON | 3, Q_GLOBAL, Q_BUILTIN | 77, 5, Q_ON | 1 };

enum wide_flags { W_A = 1, W_B = 2, W_TOP = 1ULL << 63 };
enum wide_flags wf[2] = { W_A | W_TOP, W_TOP | 0x100 };

/* no part of a value says which kind it is of */
enum wide { WIDE_SMALL = 3, WIDE_LARGE = ~0ULL };
enum wide wide[2] = { ~0ULL, ~0ULL - 1 };

/* numbers, one of which is a bit */
enum number { N_ONE = 1, N_LAST = 0x80000000, N_SIX = 6 };
enum number number = 0x80000001;

/* globals that are larger than their type */
struct flex { u32 n; u16 tail[]; };
struct flex first = { 3, { 11, 12, 13 } };
u64 between = 99;
struct flex second = { 2, { 21, 22 } };
union either { u32 one; u32 all[]; } either = { .all = { 31, 32, 33 } };

/* flexible arrays that have the room of what they share */
struct bitmap { u32 n; union { u64 fixed[2]; u64 words[0]; }; u32 behind; } bitmap = { 2, { { 5, 6 } }, 7 };
union padded { u8 bytes[8]; struct flex flex; } padded = { { 2, 0, 0, 0, 41, 0, 42 } };
struct nested { u32 n; union { u32 one[2]; struct flex flex; } u; } nested = { 1, { { 1, 51 } } };

/* flexible arrays of text, and of what lies in a variable */
struct label { u32 n; char text[]; } label = { 5, { "hello" } };
struct holder { u32 head; union { u16 room[8]; struct flex in; }; } holders[2] = { { 1, { { 2, 0, 61, 62 } } }, { 3, { { 2, 0, 71, 72 } } } };

/* the same in an arena */
struct {
	__uint(type, 33); /* BPF_MAP_TYPE_ARENA */
	__uint(map_flags, 1 << 10); /* BPF_F_MMAPABLE */
	__uint(max_entries, 4);
} arena SEC(".maps");
#define __arena __attribute__((address_space(1)))
struct flex __arena in_arena = { 2, { 81, 82 } };
struct holder __arena held_in_arena = { 4, { { 2, 0, 91, 92 } } };

/* the same in a map: libbpf wants its values to have the size of their type */
#define BPF_MAP_TYPE_ARRAY 2
struct room { struct bitmap bitmap; union padded padded; };
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 3);
	__type(key, u32);
	__type(value, struct room);
} rooms SEC(".maps");

/* keys whose members share bytes */
#define BPF_MAP_TYPE_HASH 1
union ids { u32 id; u16 parts[2]; };
struct ids_key { u32 level; union ids ids; };
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__type(key, struct ids_key);
	__type(value, u32);
} by_ids SEC(".maps");

static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;

/* pointers to what is larger than its type: a global, and an object of the kernel */
struct flex *second_at, *in_holder, *in_room;
struct flex __arena *in_arena_at;
struct flex __arena *in_held_at;
struct cgroup { int level; struct cgroup *ancestors[]; } __attribute__((preserve_access_index));
u64 newest;
u32 level;

SEC("struct_ops.s/cgroup_init")
s32 values_cgroup_init(u64 *ctx)
{
	struct cgroup *cgrp = (void *)ctx[0];

	newest = (u64)cgrp;
	level = cgrp->level;
	return 0;
}

SEC("struct_ops.s/init")
s32 values_init(void)
{
	void *used = &arena; /* or the verifier knows of no arena */

	asm volatile("" : "+r"(used));
	second_at = &second;
	in_holder = &holders[1].in;
	in_arena_at = &in_arena;
	in_held_at = (struct flex __arena *)&held_in_arena.in;
	for (u32 i = 0; i < 3; i++) {
		u32 key = i;
		struct room *room = bpf_map_lookup_elem(&rooms, &key);

		if (room) {
			room->bitmap = bitmap;
			room->bitmap.fixed[0] += i;
			room->padded = padded;
			in_room = &room->padded.flex;
		}
	}
	for (u32 cpu = 0; cpu < 2; cpu++) {
		u32 key = 1;
		u64 *count = bpf_map_lookup_percpu_elem(&raw_counts, &key, cpu);

		if (count)
			*count = 100 + cpu;
	}
	return 0;
}

struct sched_ext_ops {
	s32 (*cgroup_init)(struct cgroup *cgrp, void *args);
	s32 (*init)(void);
	char name[128];
};

SEC(".struct_ops.link")
struct sched_ext_ops values_ops = {
	.cgroup_init = (void *)values_cgroup_init,
	.init = (void *)values_init,
	.name = "values",
};
