/* A signed member of another size cannot be loaded: both loaders refuse it. */
#include "in.h"
struct task_struct___wider { s64 prio; } CORE;
u64 got;
SEC("tp_btf/sched_wakeup") int woken(u64 *ctx) { struct task_struct___wider *w = (void *)ctx[0]; got = w->prio; return 0; }
