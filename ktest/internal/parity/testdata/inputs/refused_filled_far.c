/* A map of maps that is filled behind its end. */
#include "in.h"
struct inner { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, u32); __type(value, u64); } one SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS); __uint(max_entries, 2); __type(key, u32); __array(values, struct inner); } outer SEC(".maps") = { .values = { [3] = &one } }; u64 n;
SEC("raw_tp/sched_switch") int count(void *ctx) { u32 k = 0; n += bpf_map_lookup_elem(&outer, &k) != 0; return 0; }
