/* A unit that was not linked with the one that defines what it uses, if it is there. */
#include "in.h"
extern __attribute__((weak)) int of_another_unit(int x); extern int variable_of_another; u64 n;
SEC("raw_tp/sched_switch") int count(void *ctx) { n++; return 0; }
SEC("raw_tp/sched_wakeup") int use(void *ctx) { if (of_another_unit) return of_another_unit(1); return 0; }
