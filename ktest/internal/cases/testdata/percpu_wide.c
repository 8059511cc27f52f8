#include "scx.h"
/* a value above the kernel's limit of 32 KiB for maps that are per CPU */
struct wide { u64 words[5000]; };
struct { U(type, PERCPU_ARRAY); U(max_entries, 1); T(key, u32); T(value, struct wide); } wide_ones SEC(".maps");
#include "base.h"
SEC(".struct_ops.link") struct sched_ext_ops pw_ops = { .enqueue = (void *)enq, .name = "percpu_wide" };
