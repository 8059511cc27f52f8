#include "scx.h"
/* Maps that user space gives more entries before the load, each filled as far as it goes: one entry here. Of the
 * section .data.lone, whose last variable is no array, libbpf drops the type when it is made larger. */
#define PERCPU_HASH 5
struct slot { u64 runs; u32 last; };
struct lone { u64 runs; u32 last; };
struct { U(type, ARRAY); U(max_entries, 1); T(key, u32); T(value, struct slot); } slots SEC(".maps");
struct { U(type, HASH); U(max_entries, 1); T(key, u32); T(value, u64); } squares SEC(".maps");
struct { U(type, PERCPU_ARRAY); U(max_entries, 1); T(key, u32); T(value, u64); } slots_of_cpus SEC(".maps");
struct { U(type, PERCPU_HASH); U(max_entries, 1); T(key, u32); T(value, u64); } squares_of_cpus SEC(".maps");
struct lone lone SEC(".data.lone") = { 11, 22 };
u64 behind SEC(".data.lone") = 33;
/* an array that a text of the program's own is behind */
const volatile u32 weights[2] = { 7, 9 };
static long (*const trace)(const char *, u32, ...) = (void *)6;
#include "base.h"
SEC("struct_ops.s/rm_init") s32 rm_init(u64 *ctx) {
  static const char ____fmt[] = "%d";
  for (u32 i = 0; i < 8; i++) {
    u32 key = i; u64 square = (u64)i * i; struct slot *slot = lookup(&slots, &key);
    if (slot) { slot->runs = 100 + i; slot->last = i + weights[i & 1]; }
    update(&squares, &key, &square, 0);
    update(&squares_of_cpus, &key, &square, 0);
    for (u32 cpu = 0; cpu < 16; cpu++) {
      u64 *one = lookup_percpu(&slots_of_cpus, &key, cpu);
      if (one) *one = 1000 * (i + 1) + cpu;
      one = lookup_percpu(&squares_of_cpus, &key, cpu);
      if (one) *one = square + cpu;
    }
  }
  lone.last++;
  trace(____fmt, sizeof(____fmt), (u32)behind);
  return 0;
}
SEC(".struct_ops.link") struct sched_ext_ops rm_ops = { .enqueue = (void *)enq, .init = (void *)rm_init, .name = "resized_maps" };
