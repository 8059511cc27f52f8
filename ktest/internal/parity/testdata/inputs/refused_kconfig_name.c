/* An option by a name of no option: weak, as those of later kernels are. */
#include "in.h"
extern int OF_ANOTHER __attribute__((section(".kconfig"), weak)); u64 n;
SEC("raw_tp/sched_switch") int count(void *ctx) { n += OF_ANOTHER; return 0; }
