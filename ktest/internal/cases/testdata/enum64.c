#include "scx.h"
enum queue { Q_BUILTIN = 1ULL << 63, Q_ON = 1ULL << 62, Q_NONE = Q_BUILTIN, Q_GLOBAL = Q_BUILTIN | 1, Q_LOCAL = Q_BUILTIN | 2, Q_LOCAL_ON = Q_BUILTIN | Q_ON, Q_CPUS = 0xffffffffULL };
enum queue last[4] = { Q_LOCAL_ON | 3, Q_GLOBAL, Q_BUILTIN | 77, 5 };
enum wide_flags { W_A = 1, W_B = 2, W_TOP = 1ULL << 63 };
enum wide_flags wf[2] = { W_A | W_TOP, W_TOP | 0x100 };
#include "base.h"
SEC(".struct_ops.link") struct sched_ext_ops e64_ops = { .enqueue = (void *)enq, .name = "enum64" };
