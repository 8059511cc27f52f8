// Package sched reads what the kernel keeps of scheduling out of a snapshot: its tasks,
// CPUs, dispatch queues, sched_ext schedulers and cgroups. Every snapshot of a guest has
// it, whichever scheduler runs, also one that nobody has generated code for, and
// files have it, too:
//
// For authors of tests.
//
//	s := sched.Bind(t, vm.Freeze("loaded"))
//	for _, task := range s.CPU(1).Local().Tasks() {
//		require.Less(t, task.RunnableFor(), time.Second, task)
//	}
//	require.Zero(t, s.DSQ(SharedDSQ).Len())
//
// Names are those of the kernel (include/linux/sched/ext.h). What a kernel does not have
// is zero in what is read, and [State.Absent] names it.
//
// [Check] holds captures to what is so for every scheduler, [State.Starving] says which
// tasks wait for a CPU and why none runs them, and [State.WriteText] shows a state in a
// terminal, as ktgen top does. [Samples] makes series of captures, for package series, and
// [WriteProgramsCSV] keeps figures of programs as veristat has them.
//
// # Tables
//
// Snapshots have it as tables (ktsnap.Table), whose records have the members below as
// far as the guest's kernel has them, and columns that captures add:
//
//	kernel          jiffies, hz, when the watchdog looked; the enums of sched_ext
//	tasks           struct task_struct with its scx; the CPUs it may run on, its class
//	cpus            struct rq with its scx, by CPU; idle masks, whether it is online
//	schedulers      struct scx_sched, the root first, with how it ends
//	scheduler_cpus  struct scx_sched_pcpu with its event counters
//	queues          struct scx_dispatch_q; whose it is
//	queued          the tasks in queues, in their order
//	cgroups         struct task_group with its scx; the cgroup's id and name
//	programs        struct bpf_prog_aux; instructions, machine code, counters of all CPUs
//
// It is a package of its own, rather than methods of generated code: the state is the
// kernel's and the same for all schedulers, so that one reader serves them all, and
// generated files import package runtime only.
package sched
