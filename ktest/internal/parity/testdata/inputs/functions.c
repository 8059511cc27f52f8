/* Addresses of functions that are not the first of their section, subprograms of each kind. */
#include "in.h"
__attribute__((noinline)) int first(int x) { return x * 3; }
static long counted(u32 i, void *sum) { *(u64 *)sum += i; return 0; }
__weak __attribute__((noinline)) int helper(int x) { return first(x) + 1; }
__hidden __attribute__((noinline)) int within(int x) { return helper(x) * 2; }
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 8); __type(key, u32); __type(value, u64); } entries SEC(".maps");
static long each(void *map, u32 *key, u64 *value, void *sum) { *(u64 *)sum += *value + within(*key); return 0; }
SEC("syscall") int run(void *ctx) {
  u64 n = 0;
  bpf_loop(10, counted, &n, 0); bpf_for_each_map_elem(&entries, each, &n, 0);
  return n + within(2);
}
SEC("raw_tp/sched_switch") int other(void *ctx) { u64 n = 0; bpf_loop(3, counted, &n, 0); return helper(n); }
