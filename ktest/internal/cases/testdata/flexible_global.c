#include "scx.h"
struct flex { u32 n; u16 tail[]; };
struct flex first = { 3, { 11, 12, 13 } };
u64 between = 99;
struct flex second = { 2, { 21, 22 } };
#include "base.h"
SEC(".struct_ops.link") struct sched_ext_ops fg_ops = { .enqueue = (void *)enq, .name = "flexible" };
