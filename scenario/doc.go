// Package scenario describes what happens in a guest, and makes it happen.
//
// For authors of tests.
//
// A [Scenario] is a list of steps, as plain data. A step makes cgroups, starts workers,
// performs ops in their order, and then lets time pass. [Scenario.Check] checks it before
// it begins, without a guest: an error names step, op, cause, and what to do.
//
//	report := vm.Run(
//		scenario.Step{
//			Name: "load",
//			Cgroups: []scenario.Cgroup{
//				{Name: "light", Weight: 100, Workers: 2},
//				{Name: "heavy", Weight: 400, Workers: 2, Kind: scenario.SleepWake},
//			},
//			Hold: 500 * time.Millisecond,
//		},
//		scenario.Step{
//			Name: "one stands still",
//			Ops:  []scenario.Op{scenario.FreezeCgroup{Cgroup: "heavy"}, scenario.Capture{Name: "frozen"}},
//			Hold: 200 * time.Millisecond,
//		},
//	)
//
// Steps run on the host, and the agent in the guest performs what they ask for. So a test
// can also perform a single op, after it has read a snapshot:
//
//	vm.Do(ctx, scenario.FreezeCgroup{Cgroup: "heavy"})
//	workers, err := vm.Spawn(ctx, scenario.Workers{Kind: scenario.Pipe, CPUs: []int{1}})
//	stats, err := workers.Stats(ctx)
//
// # Vocabulary
//
//	op                what it does                                      cannot be performed if, for example
//	Cgroup            makes a cgroup, starts its workers                the name is taken, its parent missing; the cpuset has no CPUs
//	Change            writes settings of a cgroup                       there is no such cgroup; the kernel has no such controller
//	Remove            removes a cgroup, with what runs in it            there is no such cgroup
//	FreezeCgroup      stops all that runs in a cgroup                   it is frozen already
//	ThawCgroup        lets it run on                                    it is not frozen
//	Workers           starts workers or a payload                       the cgroup is frozen; the affinity has an offline CPU
//	Stop              ends workers                                      there are none of this name
//	Move              moves workers to another cgroup                   the affinity has no CPU of its cpuset
//	SetAffinity       changes on which CPUs workers may run             a CPU is offline, or not in the cgroup's cpuset
//	SetNice           changes the nice value of workers                 the value is out of range
//	SetOnline         switches a CPU on or off                          it is CPU 0; it is so already
//	StartScheduler    starts a scheduler                                one runs; the object cannot be read
//	StopScheduler     ends the scheduler                                none runs
//	ReplaceScheduler  ends the scheduler, starts another                none runs; the object cannot be read
//	Capture           takes a snapshot and keeps it (a warning if not)  it has no name
//	Exec              runs a program in the guest, waits for it         it names no program
//	Hook              calls the test: ops, writes, watchpoints, more    it does not say what it does
//
// A step waits for at most one of:
//
//	Hold              a time, by the guest's clock, which stands still during captures
//	HoldFraction      a part of the scenario's Duration
//	Until             a condition on snapshots, or one that is polled
//
// Kinds of workers are [Spin], [SleepWake], [Yield], [IO], [Pipe], [ForkExit],
// [MemoryWalk] and [Mixed]; a [Payload] is a program. A worker counts what it does in
// memory that it shares with the agent. The agent's threads are real-time threads, which no
// BPF scheduler can starve, so a worker that never runs is measured too.
//
// # Ends
//
// A scenario ends early if an op fails, a condition does not come true in time
// ([NeverTrueError]), a worker ends by itself ([WorkerDiedError]), the scheduler ends
// ([SchedulerDiedError]), or its context ends. The [OpError] names the step and the op. The
// [Report] says what has happened until then, and captures are kept. Whatever ends a
// scenario, its workers and cgroups are removed, CPUs that it switched off are on again, and
// hooks are undone.
//
// # Without a guest
//
// [NewRehearsal] performs scenarios without a guest, in no time. ktest.Rehearse is shorter
// if you make snapshots by hand.
//
// # Cgroups
//
// "a/b" is a child of cgroup "a". As in the kernel, a cgroup with children has no workers of
// its own, and its children have at most its CPUs.
//
// The guest's cgroups have the controllers cpu, cpuset, memory, io and pids, as far as its
// kernel has them. A setting without a control file is an [UnsupportedError], before
// anything is done. For example, io.weight needs CONFIG_BLK_CGROUP_IOCOST.
package scenario
