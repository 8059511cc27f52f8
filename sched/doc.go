// Package sched reads what the kernel keeps of scheduling out of a snapshot: its tasks,
// CPUs, dispatch queues, sched_ext schedulers and cgroups.
//
// For authors of tests. Every snapshot of a guest has this, whichever scheduler runs, and
// so have snapshot files. It needs no generated code.
//
//	const sharedDSQ = 0 // SHARED_DSQ in the scheduler's source
//	s := sched.Bind(t, vm.Freeze("loaded"))
//	for _, task := range s.CPU(1).Local().Tasks() {
//		require.Less(t, task.RunnableFor(), time.Second, task)
//	}
//	require.Zero(t, s.DSQ(sharedDSQ).Len())
//
// Names are those of the kernel (include/linux/sched/ext.h). A member that the kernel lacks
// reads as zero, and [State.Absent] names it.
//
//   - [Check] checks what is true of every scheduler.
//   - [State.Starving] says which tasks wait for a CPU, and why none runs them.
//   - [State.WriteText] shows a state in a terminal, as ktgen top does.
//   - [Samples] makes samples of captures, for package series.
//   - [WriteProgramsCSV] writes the size of each BPF program, with veristat's columns.
//
// # Tables
//
// Snapshots have this as tables (ktsnap.Table). Their records have the members below as far
// as the guest's kernel has them, and columns that the capture adds:
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
//	verified        what the verifier said of programs, by their id; package ktest adds it
//
// The state is the kernel's and the same for all schedulers. So this package reads it, and
// generated code, which imports package runtime only, does not.
package sched
