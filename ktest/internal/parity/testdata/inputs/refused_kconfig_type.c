/* An option as a struct, which no option can be, even one that the kernel does not set. */
#include "in.h"
struct pair { int a, b; };
extern struct pair CONFIG_OF_NEXT_YEAR __attribute__((section(".kconfig"), weak)); u64 n;
SEC("raw_tp/sched_switch") int count(void *ctx) { n += CONFIG_OF_NEXT_YEAR.b; return 0; }
