/* A program array, an array of maps and a hash of maps that their definitions fill. */
#include "in.h"
struct inner { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 3); __type(key, u32); __type(value, u64); } one SEC(".maps"), two SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS); __uint(max_entries, 3); __type(key, u32); __array(values, struct inner); }
  in_array SEC(".maps") = { .values = { [0] = &one, [2] = &two } };
struct { __uint(type, BPF_MAP_TYPE_HASH_OF_MAPS); __uint(max_entries, 5); __type(key, u32); __array(values, struct inner); }
  in_hash SEC(".maps") = { .values = { [4] = &two, [1] = &one } };
int jumped(void *ctx), last(void *ctx);
struct { __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 4); __uint(key_size, 4); __array(values, int (void *)); }
  jumps SEC(".maps") = { .values = { [1] = (void *)&jumped, [3] = (void *)&last } };
SEC("raw_tp/sched_switch") int jumped(void *ctx) { return 0; }
SEC("raw_tp/sched_switch") int last(void *ctx) { return 0; }
SEC("raw_tp/sched_switch") int entry(void *ctx) {
  u32 k = 2;
  void *m = bpf_map_lookup_elem(&in_array, &k);
  if (m) bpf_map_lookup_elem(m, &k);
  bpf_map_lookup_elem(&in_hash, &k);
  bpf_tail_call(ctx, &jumps, 1);
  return 1;
}
