// Package scx copies what a kernel keeps of scheduling, as tables: its tasks, CPUs,
// dispatch queues and what is in them, sched_ext schedulers, cgroups, and BPF programs
// (kernel/sched/ext.c; kernel/sched/ext/ext.c from Linux 7.2 on).
//
// Members are looked for by name in the kernel's BTF. What a kernel lacks is not in
// the type of the table; what cannot be found at all is a table without records that
// says why.
package scx
