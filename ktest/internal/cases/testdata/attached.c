/* Programs that libbpf attaches to what their sections name, each of which counts. */
#include "scx.h"
struct pt_regs; struct bpf_iter__task;
u64 by_tp, by_raw_tp, by_tp_btf, by_kprobe, by_kretprobe, by_ksyscall, by_multi, by_fentry, by_fexit, by_iter, by_optional, by_syscall, by_perf, by_nothing;
#define COUNT(section, name) SEC(section) int on_##name(void *ctx) { __sync_fetch_and_add(&by_##name, 1); return 0; }
COUNT("tp/sched/sched_switch", tp)
COUNT("raw_tp/sched_switch", raw_tp)
COUNT("tp_btf/sched_switch", tp_btf)
COUNT("kprobe/hrtimer_nanosleep", kprobe)
COUNT("kretprobe/hrtimer_nanosleep", kretprobe)
COUNT("ksyscall/clock_nanosleep", ksyscall)
COUNT("kprobe.multi/hrtimer_nano*", multi)
COUNT("fentry/hrtimer_nanosleep", fentry)
COUNT("fexit/hrtimer_nanosleep", fexit)
COUNT("iter/task", iter)
COUNT("?fentry/hrtimer_nanosleep", optional)
COUNT("syscall", syscall)
COUNT("perf_event", perf)
COUNT("kprobe", nothing)
#include "base.h"
SEC(".struct_ops.link") struct sched_ext_ops attached_ops = { .enqueue = (void *)enq, .name = "attached" };
