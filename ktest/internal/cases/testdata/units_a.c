/* Two units, linked: functions of one name in both, and weak ones that the other overrides. */
#include "scx.h"
#define WEAK __attribute__((weak))
#define NOINLINE static __attribute__((noinline))
u32 from_a, from_b, by_weak, by_callback;
WEAK u32 limit = 1; u32 WEAK spare[2] = { 3, 4 };
u32 seen_limit;
NOINLINE u32 weigh(u32 x) { return x * 3 + (u32)now(); }
NOINLINE long visit(u32 i, void *ctx) { __sync_fetch_and_add(&by_callback, 1); return 0; }
WEAK u32 which(void) { return 1; }
u32 other_unit(u32 x);
static long (*const loop)(u32, void *, void *, u64) = (void *)181;
#include "base.h"
SEC("struct_ops.s/un_init") s32 un_init(u64 *ctx) {
  from_a = weigh(7) - weigh(0) >= 21; from_b = other_unit(7); by_weak = which(); seen_limit = limit + spare[1];
  loop(5, visit, NULL, 0);
  return 0;
}
SEC(".struct_ops.link") struct sched_ext_ops un_ops = { .enqueue = (void *)enq, .init = (void *)un_init, .name = "units" };
