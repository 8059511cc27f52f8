/* A license with more room than the kernel reads of it. */
#define LICENSED
#include "in.h"
char long_license[300] SEC("license") = "GPL v2"; u64 n;
SEC("raw_tp/sched_switch") int count(void *ctx) { bpf_printk("%d", 1); n++; return 0; }
