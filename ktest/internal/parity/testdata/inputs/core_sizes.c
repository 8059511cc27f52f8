/* Members that the kernel has with another size: loads take the kernel's. */
#include "in.h"
struct task_struct { int prio; } CORE;
struct task_struct___wider { u64 flags; u64 __state; } CORE;
struct task_struct___narrower { u32 utime; unsigned char policy; void *mm; } CORE;
u64 got[6];
SEC("tp_btf/sched_wakeup") int woken(u64 *ctx) {
  struct task_struct___wider *w = (void *)ctx[0]; struct task_struct___narrower *n = (void *)ctx[0]; struct task_struct *t = (void *)ctx[0];
  got[0] = w->flags; got[1] = w->__state; got[2] = n->utime; got[3] = n->policy; got[4] = (u64)n->mm; got[5] = t->prio;
  return 0;
}
