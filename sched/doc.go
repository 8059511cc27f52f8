// Package sched reads what the kernel keeps of scheduling out of a snapshot: its tasks,
// CPUs, dispatch queues, sched_ext schedulers and cgroups. Every snapshot of a guest has
// it, whichever scheduler runs, also one that nobody has generated code for, and
// files have it, too:
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
// It is a package of its own, rather than methods of generated code: the state is the
// kernel's and the same for all schedulers, so that one reader serves them all, and
// generated files import package runtime only.
package sched
