/* A map of maps that is filled with a map of another type. */
#include "in.h"
struct inner { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, u32); __type(value, u64); };
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 9); __type(key, u64); __type(value, u64); } other SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS); __uint(max_entries, 2); __type(key, u32); __array(values, struct inner); } outer SEC(".maps") = { .values = { [1] = (void *)&other } }; u64 n;
SEC("raw_tp/sched_switch") int count(void *ctx) { u32 k = 0; n += bpf_map_lookup_elem(&outer, &k) != 0; return 0; }
