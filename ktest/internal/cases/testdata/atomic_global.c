#include "scx.h"
_Atomic u32 live = 7;
u64 other = 5;
#include "base.h"
SEC(".struct_ops.link") struct sched_ext_ops ag_ops = { .enqueue = (void *)enq, .name = "atomic" };
