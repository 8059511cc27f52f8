#include "scx.h"
static volatile u32 calls = 0x11; u32 mine = 1;
SEC("syscall") int pe(void *c) { return calls + mine; }
#include "base.h"
SEC(".struct_ops.link") struct sched_ext_ops sa_ops = { .enqueue = (void *)enq, .name = "statics" };
