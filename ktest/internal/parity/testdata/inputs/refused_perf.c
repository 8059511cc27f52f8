/* An array of perf events without sizes, which the kernel does not take. */
#include "in.h"
struct { int (*type)[4]; } events SEC(".maps");
SEC("raw_tp/sched_switch") int count(void *ctx) { u64 v = 1; bpf_perf_event_output(ctx, &events, 0, &v, sizeof(v)); return 0; }
