/* A map with a member that no loader knows. */
#include "in.h"
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, u32); __type(value, u64); __uint(color, 3); } m SEC(".maps"); u64 n;
SEC("raw_tp/sched_switch") int count(void *ctx) { u32 k = 0; n += bpf_map_lookup_elem(&m, &k) != 0; return 0; }
