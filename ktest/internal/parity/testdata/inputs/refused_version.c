/* The version of a kernel in 8 bytes. */
#include "in.h"
u64 of_kernel SEC("version") = 0x50000; u64 n;
SEC("raw_tp/sched_switch") int count(void *ctx) { n++; return 0; }
