#include "scx.h"
/* names whose first 15 letters agree, of maps that are alike and not */
struct { U(type, ARRAY); U(max_entries, 1); T(key, u32); T(value, u64); } tasks_per_domain_sum SEC(".maps");
struct { U(type, ARRAY); U(max_entries, 1); T(key, u32); T(value, u64); } tasks_per_domain_max SEC(".maps");
struct { U(type, 22); U(max_entries, 8); T(value, u32); } tasks_per_domain_seen SEC(".maps");
struct { U(type, 22); U(max_entries, 8); T(value, u32); } tasks_per_domain_kept SEC(".maps");
u64 first_ones SEC(".data.statistics_of_domains") = 1;
u64 second_ones SEC(".data.statistics_of_tasks") = 2;
static long (*const push)(void *, const void *, u64) = (void *)87;
#include "base.h"
SEC("struct_ops.s/ln_init") s32 ln_init(u64 *ctx) {
  u32 zero = 0, three = 3, four = 4; u64 sum = 11, max = 22;
  update(&tasks_per_domain_sum, &zero, &sum, 0); update(&tasks_per_domain_max, &zero, &max, 0);
  push(&tasks_per_domain_seen, &three, 0); push(&tasks_per_domain_kept, &four, 0);
  first_ones += 10; second_ones += 20;
  return 0;
}
SEC(".struct_ops.link") struct sched_ext_ops long_names_of_ops = { .enqueue = (void *)enq, .init = (void *)ln_init, .name = "long_names" };
