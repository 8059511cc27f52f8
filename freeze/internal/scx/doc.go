// Package scx copies what a kernel keeps of scheduling, as tables: its tasks, CPUs,
// dispatch queues and what is in them, sched_ext schedulers, cgroups, and BPF programs
// (kernel/sched/ext.c; kernel/sched/ext/ext.c from Linux 7.2 on).
//
// It looks for members by name in the kernel's BTF. A member that the kernel lacks is not in
// the table's type. A table whose objects cannot be found has no records, and says why.
package scx
