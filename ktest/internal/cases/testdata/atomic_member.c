#include "scx.h"
struct counters { u64 total; _Atomic u64 hits; u32 last; };
struct counters counters;
#include "base.h"
SEC(".struct_ops.link") struct sched_ext_ops am_ops = { .enqueue = (void *)enq, .name = "atomic" };
