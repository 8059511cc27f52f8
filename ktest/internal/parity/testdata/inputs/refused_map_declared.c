/* A map whose values have a type that is only declared. */
#include "in.h"
struct elsewhere;
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 2); __type(key, u32); __type(value, struct elsewhere); } m SEC(".maps"); u64 n;
SEC("raw_tp/sched_switch") int count(void *ctx) { u32 k = 0; n += bpf_map_lookup_elem(&m, &k) != 0; return 0; }
