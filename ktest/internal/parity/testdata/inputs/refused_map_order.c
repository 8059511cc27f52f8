/* A map of maps whose definition goes on behind its values. */
#include "in.h"
struct inner { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, u32); __type(value, u64); };
struct { __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS); __type(key, u32); struct inner *values[0]; __uint(max_entries, 2); } outer SEC(".maps"); u64 n;
SEC("raw_tp/sched_switch") int count(void *ctx) { u32 k = 0; n += bpf_map_lookup_elem(&outer, &k) != 0; return 0; }
