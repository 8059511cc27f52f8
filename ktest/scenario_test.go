package ktest_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/ktgen/ktgen/capture"
	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/scenario"
)

// iterated is true once the workers have done n turns of their work.
func iterated(vm *ktest.VM, workers string, n uint64) *scenario.Condition {
	return &scenario.Condition{
		What: fmt.Sprintf("%d iterations of %s", n, workers), Within: time.Minute,
		Poll: func(ctx context.Context) (bool, error) {
			running, err := vm.Workers(workers)
			if err != nil {
				return false, err
			}
			stats, err := running.Stats(ctx)
			if err != nil {
				return false, err
			}
			return !slices.ContainsFunc(stats, func(s scenario.Stats) bool { return s.Iterations < n }), nil
		},
	}
}

// Each kind of worker works, in a cgroup of its own, and says how it went.
func TestEveryKindOfWorkerWorksAndIsMeasured(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{CPUs: 2})
	for _, kind := range []scenario.Kind{
		scenario.Spin, scenario.SleepWake, scenario.Yield, scenario.IO, scenario.Pipe,
		scenario.ForkExit, scenario.MemoryWalk, scenario.Mixed,
	} {
		name := string(kind)
		report := vm.Run(scenario.Step{
			Cgroups: []scenario.Cgroup{{Name: name, Workers: 1, Kind: kind}},
			Until:   iterated(vm, name, 10),
		})
		require.Len(t, report.Workers, 1, name)
		w := report.Workers[0]
		require.GreaterOrEqual(t, w.Iterations, uint64(10), name)
		require.Positive(t, w.Runtime, name)
		require.Positive(t, w.LongestGap, name)
		require.Equal(t, name+"-0", w.Name)
		require.Equal(t, name, w.Cgroup)
		if kind == scenario.SleepWake || kind == scenario.Pipe || kind == scenario.Mixed {
			require.NotZero(t, w.Wakeups.Count(), name)
		}
	}
	requireNothingLeft(t, vm)
}

// requireNothingLeft fails if there are cgroups or processes in the guest beside
// those that it has always.
func requireNothingLeft(t *testing.T, vm *ktest.VM) {
	t.Helper()
	stat, err := vm.ReadFile(t.Context(), "/sys/fs/cgroup/ktgen/cgroup.stat")
	require.NoError(t, err)
	require.Contains(t, string(stat), "nr_descendants 0\n")

	pids, err := vm.ReadFile(t.Context(), "/sys/fs/cgroup/cgroup.procs")
	require.NoError(t, err)
	for pid := range strings.FieldsSeq(string(pids)) {
		cmdline, err := vm.ReadFile(t.Context(), "/proc/"+pid+"/cmdline")
		if pid != "1" && err == nil { // a kernel thread has none
			require.Empty(t, strings.ReplaceAll(string(cmdline), "\x00", " "), "process %s is left", pid)
		}
	}
}

// cgroupFile returns a control file of a cgroup.
func cgroupFile(t *testing.T, vm *ktest.VM, cgroup, file string) string {
	t.Helper()
	b, err := vm.ReadFile(t.Context(), "/sys/fs/cgroup/ktgen/"+cgroup+"/"+file)
	require.NoError(t, err)
	return strings.TrimSpace(string(b))
}

// status returns a line of /proc/PID/status.
func status(t *testing.T, vm *ktest.VM, pid int, key string) string {
	t.Helper()
	b, err := vm.ReadFile(t.Context(), fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(t, err)
	_, rest, _ := strings.Cut(string(b), "\n"+key+":\t")
	value, _, _ := strings.Cut(rest, "\n")
	return value
}

// Ops do in the guest what they say, one at a time.
func TestOpsTakeEffectInTheGuest(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{CPUs: 2})
	do := func(op scenario.Op) {
		t.Helper()
		require.NoError(t, vm.Do(t.Context(), op))
	}
	do(scenario.Cgroup{
		Name: "a", CPUs: []int{1}, Mems: []int{0}, Weight: 300, Max: scenario.CPUMax{Quota: 50 * time.Millisecond},
		MemoryMax: 256 << 20, MemoryHigh: 128 << 20, MemoryLow: 1 << 20, PIDsMax: 50, Workers: 1, Kind: scenario.SleepWake,
	})
	for file, want := range map[string]string{
		"cpuset.cpus": "1", "cpuset.mems": "0", "cpu.weight": "300", "cpu.max": "50000 100000", "pids.max": "50",
		"memory.max": "268435456", "memory.high": "134217728", "memory.low": "1048576", "cgroup.freeze": "0",
	} {
		require.Equal(t, want, cgroupFile(t, vm, "a", file), file)
	}
	running, err := vm.Workers("a")
	require.NoError(t, err)
	pid := running.PIDs[0]
	require.Equal(t, strconv.Itoa(pid), cgroupFile(t, vm, "a", "cgroup.procs"))

	do(scenario.Change{Cgroup: scenario.Cgroup{Name: "a", CPUs: []int{0, 1}, Weight: 50}})
	require.Equal(t, "0-1", cgroupFile(t, vm, "a", "cpuset.cpus"))
	require.Equal(t, "50", cgroupFile(t, vm, "a", "cpu.weight"))

	do(scenario.SetAffinity{Workers: "a", CPUs: []int{0}})
	require.Equal(t, "0", status(t, vm, pid, "Cpus_allowed_list"))
	do(scenario.SetNice{Workers: "a", Nice: 7})
	stat, err := vm.ReadFile(t.Context(), fmt.Sprintf("/proc/%d/stat", pid))
	require.NoError(t, err)
	require.Equal(t, "7", strings.Fields(string(stat))[18])

	// What is frozen does nothing.
	do(scenario.FreezeCgroup{Cgroup: "a"})
	require.Contains(t, cgroupFile(t, vm, "a", "cgroup.events"), "frozen 1")
	before, err := running.Stats(t.Context())
	require.NoError(t, err)
	vm.Run(scenario.Step{Hold: 50 * time.Millisecond})
	after, err := running.Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, before[0].Iterations, after[0].Iterations)
	require.GreaterOrEqual(t, after[0].LongestGap, 50*time.Millisecond)
	do(scenario.ThawCgroup{Cgroup: "a"})
	require.NoError(t, vm.Await(t.Context(), *iterated(vm, "a", after[0].Iterations+1)))

	// A cgroup in another has at most what that one has, and stands still with it.
	do(scenario.Cgroup{Name: "outer", CPUs: []int{1}, Weight: 200})
	do(scenario.Cgroup{Name: "outer/inner", Weight: 20, PIDsMax: 30, Workers: 1, Kind: scenario.SleepWake})
	require.Equal(t, "1", cgroupFile(t, vm, "outer/inner", "cpuset.cpus.effective"))
	require.Equal(t, "20", cgroupFile(t, vm, "outer/inner", "cpu.weight"))
	do(scenario.FreezeCgroup{Cgroup: "outer"})
	require.Contains(t, cgroupFile(t, vm, "outer/inner", "cgroup.events"), "frozen 1")
	do(scenario.ThawCgroup{Cgroup: "outer"})
	require.ErrorContains(t, vm.Do(t.Context(), scenario.Move{Workers: "a", Cgroup: "outer"}), `has the child "outer/inner"`)
	do(scenario.Remove{Cgroup: "outer"})
	_, err = vm.Workers("inner")
	require.ErrorContains(t, err, "no group of workers")

	do(scenario.Cgroup{Name: "b"})
	do(scenario.Move{Workers: "a", Cgroup: "b"})
	require.Empty(t, cgroupFile(t, vm, "a", "cgroup.procs"))
	require.Equal(t, strconv.Itoa(pid), cgroupFile(t, vm, "b", "cgroup.procs"))
	do(scenario.Remove{Cgroup: "a"})

	do(scenario.SetOnline{CPU: 1})
	online, err := vm.ReadFile(t.Context(), "/sys/devices/system/cpu/online")
	require.NoError(t, err)
	require.Equal(t, "0\n", string(online))
	require.ErrorContains(t, vm.Do(t.Context(), scenario.SetAffinity{Workers: "a", CPUs: []int{1}}), "CPU 1, which is offline")
	do(scenario.SetOnline{CPU: 1, Online: true})

	for i, policy := range []scenario.Policy{scenario.Batch, scenario.Idle, scenario.RR, scenario.FIFO, scenario.Normal} {
		w, err := vm.Spawn(t.Context(), scenario.Workers{Name: "p", Kind: scenario.SleepWake, Policy: policy})
		require.NoError(t, err)
		sched, err := vm.ReadFile(t.Context(), fmt.Sprintf("/proc/%d/stat", w.PIDs[0]))
		require.NoError(t, err)
		require.Equal(t, []string{"3", "5", "2", "1", "0"}[i], strings.Fields(string(sched))[40], policy)
		_, err = w.Stop(t.Context())
		require.NoError(t, err)
	}

	// A scenario removes what it has made, and nothing else.
	vm.Run(scenario.Step{Cgroups: []scenario.Cgroup{{Name: "c", Workers: 1}}, Ops: []scenario.Op{scenario.SetOnline{CPU: 1}}})
	online, err = vm.ReadFile(t.Context(), "/sys/devices/system/cpu/online")
	require.NoError(t, err)
	require.Equal(t, "0-1\n", string(online))
	require.Equal(t, strconv.Itoa(pid), cgroupFile(t, vm, "b", "cgroup.procs"))
	do(scenario.Stop{Workers: "a"})
	do(scenario.Remove{Cgroup: "b"})
	requireNothingLeft(t, vm)
}

// A failed scenario says where and why, and cleans up.
func TestWhatGoesWrongInTheGuestEndsTheScenario(t *testing.T) {
	var output bytes.Buffer
	vm := ktest.Boot(t, ktest.Config{CPUs: 2, Output: &output})
	box := []scenario.Cgroup{{Name: "box", Workers: 1, Kind: scenario.SleepWake}}
	perform := func(steps ...scenario.Step) (*scenario.Report, *scenario.OpError) {
		t.Helper()
		report, err := vm.TryRun(t.Context(), scenario.Scenario{Steps: steps})
		require.Error(t, err)
		requireNothingLeft(t, vm)
		var op *scenario.OpError
		require.ErrorAs(t, err, &op)
		return report, op
	}

	t.Run("a condition that never comes true", func(t *testing.T) {
		report, err := perform(scenario.Step{Cgroups: box}, scenario.Step{Name: "wait", Until: &scenario.Condition{
			What: "pigs fly", Within: 100 * time.Millisecond,
			Poll: func(context.Context) (bool, error) { return false, nil },
		}})
		var never *scenario.NeverTrueError
		require.ErrorAs(t, err, &never)
		require.Positive(t, never.Looks)
		require.ErrorContains(t, err, `step 2 "wait", hold: "pigs fly" did not come true within 100ms`)
		require.Len(t, report.Steps, 2)
		require.Len(t, report.Workers, 1)
	})
	t.Run("a cgroup too small for its worker", func(t *testing.T) {
		_, err := perform(scenario.Step{Ops: []scenario.Op{scenario.Cgroup{Name: "tiny", MemoryMax: 64 << 10, Workers: 1}}})
		require.ErrorContains(t, err, `step 1, op 1, cgroup "tiny" with 1 spin "tiny"`)
		require.ErrorContains(t, err, "raise MemoryMax")
	})
	t.Run("a cgroup that may have no processes", func(t *testing.T) {
		for _, limit := range []int{1, 3} { // of a process, of its threads
			_, err := perform(scenario.Step{Cgroups: []scenario.Cgroup{{Name: "few", PIDsMax: limit}, {Name: "few/within", Workers: 2}}})
			require.ErrorContains(t, err, `cgroup "few/within"`)
			require.ErrorContains(t, err, "its cgroup may have no more tasks: raise PIDsMax")
		}
	})
	t.Run("a payload that is not there", func(t *testing.T) {
		_, err := perform(scenario.Step{Workers: []scenario.Workers{{Payload: &scenario.Payload{Args: []string{"/bin/missing"}}}}})
		require.ErrorContains(t, err, "the guest has no such program")
	})
	t.Run("a payload that fails", func(t *testing.T) {
		_, err := perform(scenario.Step{
			Workers: []scenario.Workers{{Name: "payload", Payload: &scenario.Payload{Args: []string{"/init"}, Env: []string{"KTGEN_ROLE=nonsense"}}}},
			Hold:    time.Minute,
		})
		require.ErrorContains(t, err, "exit status 2")
		require.ErrorContains(t, err, `no role "nonsense"`)
	})
	t.Run("a program that fails", func(t *testing.T) {
		_, err := perform(scenario.Step{Cgroups: box}, scenario.Step{Ops: []scenario.Op{scenario.Exec{Args: []string{"/missing"}}}})
		require.ErrorContains(t, err, `step 2, op 1, run "/missing"`)
	})
	t.Run("a worker that is killed", func(t *testing.T) {
		_, err := perform(scenario.Step{Cgroups: box, Hold: time.Minute, Ops: []scenario.Op{scenario.Hook{
			What: "kill", Do: func(ctx context.Context) error {
				running, err := vm.Workers("box")
				if err != nil {
					return err
				}
				return vm.Agent().Signal(ctx, running.PIDs[0], 9)
			},
		}}})
		var died *scenario.WorkerDiedError
		require.ErrorAs(t, err, &died)
		require.Equal(t, "killed by SIGKILL", died.How)
		require.False(t, died.OOM)
	})
	t.Run("a mistake, before anything is done", func(t *testing.T) {
		report, err := perform(scenario.Step{Cgroups: box, Ops: []scenario.Op{scenario.FreezeCgroup{Cgroup: "bix"}}})
		require.ErrorContains(t, err, `did you mean "box"?`)
		require.Empty(t, report.Steps)
	})
	t.Run("hooks are undone, and its context ends a scenario", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		undone := false
		_, err := vm.TryRun(ctx, scenario.Scenario{Steps: []scenario.Step{{Cgroups: box, Hold: time.Minute, Ops: []scenario.Op{
			scenario.Hook{
				What: "cancel", Do: func(context.Context) error { cancel(); return nil },
				Undo: func(ctx context.Context) error { undone = true; return ctx.Err() },
			},
		}}}})
		require.ErrorIs(t, err, context.Canceled)
		require.True(t, undone)
		requireNothingLeft(t, vm)
	})
	t.Run("nothing: a payload may end", func(t *testing.T) {
		ended := &scenario.Condition{What: "the payload has ended", Within: time.Minute, Poll: func(ctx context.Context) (bool, error) {
			running, err := vm.Workers("ok")
			if err != nil {
				return false, err
			}
			stats, err := running.Stats(ctx)
			return err == nil && stats[0].Ended, err
		}}
		report := vm.Run(scenario.Step{
			Workers: []scenario.Workers{{Name: "ok", Payload: &scenario.Payload{Args: []string{"/init", "-test.run=^$"}}}}, Until: ended,
		})
		require.Positive(t, report.Workers[0].Runtime)
		require.Contains(t, output.String(), "PASS")
	})
}

// When the scheduler dies, so does the scenario; captures are kept.
func TestASchedulerThatDiesEndsTheScenario(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{CPUs: 2, ExpectExit: true})
	report, err := vm.TryRun(t.Context(), scenario.Scenario{Steps: []scenario.Step{
		{Ops: []scenario.Op{scenario.StartScheduler{Scheduler: fault("docile")}, scenario.Capture{Name: "alive"}}},
		{Ops: []scenario.Op{scenario.StopScheduler{}, scenario.StartScheduler{Scheduler: fault("error")}}},
		{Name: "load", Cgroups: []scenario.Cgroup{{Name: "spin", Workers: 2}}, Hold: time.Minute},
		{Name: "never"},
	}})
	var died *scenario.SchedulerDiedError
	require.ErrorAs(t, err, &died)
	require.ErrorContains(t, err, "the fault was asked for")
	var op *scenario.OpError
	require.ErrorAs(t, err, &op)
	require.Contains(t, []int{2, 3}, op.Step)
	require.LessOrEqual(t, len(report.Steps), 3)
	snap, err := vm.Captures().Snapshot("alive")
	require.NoError(t, err)
	require.NotEmpty(t, snap.Maps)
	require.Equal(t, 1, vm.Captures().Captures()[0].Phase.Step)
	requireNothingLeft(t, vm)
}

// An op that fails because the scheduler dies of it says what that died of.
func TestOpsThatASchedulerDiesOfSayWhy(t *testing.T) {
	for name, sched := range map[string]ktest.Scheduler{"object": fault("cgroup-error"), "program": program()} {
		t.Run(name, func(t *testing.T) {
			vm := ktest.Boot(t, ktest.Config{Files: withObject("cgroup-error"), ExpectExit: true})
			ctx := bound(t, time.Minute)
			require.NoError(t, vm.Cgroup(ctx, scenario.Cgroup{Name: "before"}))
			require.NoError(t, vm.Attach(ctx, sched))
			_, err := vm.Exec(ctx, "/init", "-test.run=^$") // a task that is enqueued
			require.NoError(t, err)
			err = vm.Cgroup(ctx, scenario.Cgroup{Name: "a"})
			var died *scenario.SchedulerDiedError
			require.ErrorAs(t, err, &died)
			var exited *ktest.ExitedError
			require.ErrorAs(t, err, &exited)
			require.Equal(t, "unexpected stash", exited.Exit.Message)
			require.ErrorContains(t, err, `cgroup "a": the scheduler has ended: `)
			require.ErrorContains(t, err, "device or resource busy")
		})
	}
}

// What init_task returns is what fork fails with, which nobody takes for the scheduler's word.
func TestProcessThatInitTaskRefusesNamesTheScheduler(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{Scheduler: fault("task-error")})
	const said = `no space left on device; the kernel fails so, too, if init_task of the scheduler "refused" returns`
	require.Eventually(t, func() bool {
		_, err := vm.Exec(bound(t, time.Minute), "/init", "-test.run=^$")
		return err != nil && strings.Contains(err.Error(), said)
	}, time.Minute, time.Millisecond, "once a task is enqueued")
	_, err := vm.Work(bound(t, time.Minute), ktest.Spin, 1)
	require.ErrorContains(t, err, said)
}

// A worker that had begun before the scheduler did fails when it forks.
func TestForkOfAWorkerThatInitTaskRefusesNamesTheScheduler(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{ExpectExit: true})
	ctx := bound(t, time.Minute)
	attach := scenario.Hook{What: "attach", Do: func(ctx context.Context) error { return vm.Attach(ctx, fault("task-error")) }}
	forks := scenario.Workers{Name: "forks", Kind: scenario.ForkExit, Count: 1}
	_, err := vm.TryRun(ctx, scenario.Scenario{Steps: []scenario.Step{{Ops: []scenario.Op{forks, attach}, Hold: time.Minute}}})
	var died *scenario.WorkerDiedError
	require.ErrorAs(t, err, &died)
	require.Equal(t, unix.ENOSPC, died.Fork)
	require.ErrorContains(t, err, `if init_task of the scheduler "refused" returns the errno of "no space left on device"`)
}

// The first op that needs cgroups enables their controllers, which shows them to the
// scheduler: what that one does not take is there once it has ended.
func TestControllersThatASchedulerRefusesAreThereWithoutIt(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{ExpectExit: true})
	ctx := bound(t, time.Minute)
	require.NoError(t, vm.Attach(ctx, fault("cgroup-error")))
	_, err := vm.Exec(ctx, "/init", "-test.run=^$") // a task that is enqueued
	require.NoError(t, err)
	cgroup := scenario.Cgroup{Name: "a", Weight: 200}
	err = vm.Cgroup(ctx, cgroup)
	var died *scenario.SchedulerDiedError
	require.ErrorAs(t, err, &died, "%v", err)
	require.ErrorContains(t, err, "enable the controller cpu")
	require.ErrorContains(t, err, "device or resource busy")

	require.NoError(t, vm.Cgroup(ctx, cgroup))
	weight, err := vm.ReadFile(ctx, "/sys/fs/cgroup/ktgen/a/cpu.weight")
	require.NoError(t, err)
	require.Equal(t, "200\n", string(weight))
}

// Functions of the test that an op calls perform ops, and a capture that cannot be
// kept is a warning.
func TestHooksOfAScenarioPerformOps(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{CPUs: 2, Captures: capture.Options{SameName: capture.Refuse}})
	inHook := func(ctx context.Context) error {
		running, err := vm.Spawn(t.Context(), scenario.Workers{Name: "inner", Kind: scenario.SleepWake})
		if err != nil {
			return err
		}
		if err := vm.Do(ctx, scenario.SetNice{Workers: "inner", Nice: 3}); err != nil {
			return err
		}
		stats, err := running.Stop(ctx)
		if err == nil && len(stats) != 1 {
			err = fmt.Errorf("%d workers have stopped", len(stats))
		}
		return err
	}
	replace := func(ctx context.Context) error {
		if err := vm.Do(ctx, scenario.ReplaceScheduler{Scheduler: fault("docile")}); err != nil {
			return err
		}
		if _, err := vm.Detach(ctx); err != nil {
			return err
		}
		_, err := vm.ReadFile(ctx, "/proc/uptime")
		return err
	}
	early := func(ctx context.Context, vm *ktest.VM) error { return vm.Cgroup(ctx, scenario.Cgroup{Name: "early"}) }
	report, err := vm.TryRun(bound(t, time.Minute), scenario.Scenario{Steps: []scenario.Step{
		{Ops: []scenario.Op{scenario.Hook{What: "perform ops", Do: inHook}, scenario.StartScheduler{Scheduler: fault("docile").Loaded(early)}}},
		{Ops: []scenario.Op{scenario.Capture{Name: "same"}, scenario.Capture{Name: "same"}, scenario.Hook{What: "replace, then stop the scheduler", Do: replace}}, Hold: 10 * time.Millisecond},
		{Name: "end", Ops: []scenario.Op{scenario.Capture{Name: "other"}}},
	}})
	require.NoError(t, err)
	require.Len(t, report.Trace(), 6)
	require.Len(t, report.Warnings(), 1)
	var taken *capture.NameTakenError
	require.ErrorAs(t, report.Warnings()[0], &taken)
	require.Len(t, vm.Captures().Captures(), 2)
	requireNothingLeft(t, vm)
}

var scenarios = flag.Int("scenarios", 1, "random scenarios that TestRandomScenariosEndAndLeaveNothing runs")

// randomScenario makes up a scenario of 50 steps, each of which can be performed by a guest
// with that many CPUs.
func randomScenario(seed uint64, cpus int) scenario.Scenario {
	random := rand.New(rand.NewPCG(seed, seed))
	kinds := []scenario.Kind{
		scenario.Spin, scenario.SleepWake, scenario.Yield, scenario.IO,
		scenario.Pipe, scenario.ForkExit, scenario.MemoryWalk, scenario.Mixed,
	}
	sets := [][]int{nil, {0}, {1}, {0, 1}}
	pick := func(names ...string) string { return names[random.IntN(len(names))] }
	var s scenario.Scenario
	for len(s.Steps) < 50 {
		cgroup, workers := pick("a", "b", "c", "a/d", "a/e", "a/d/f"), pick("x", "y", "z")
		op := []func() scenario.Op{
			func() scenario.Op {
				return scenario.Cgroup{Name: cgroup, CPUs: sets[random.IntN(4)], Weight: 1 + random.IntN(10000)}
			},
			func() scenario.Op {
				return scenario.Workers{Name: workers, Kind: kinds[random.IntN(len(kinds))], Cgroup: pick("", cgroup), Nice: random.IntN(20)}
			},
			func() scenario.Op { return scenario.Stop{Workers: workers} },
			func() scenario.Op { return scenario.Remove{Cgroup: cgroup} },
			func() scenario.Op { return scenario.FreezeCgroup{Cgroup: cgroup} },
			func() scenario.Op { return scenario.ThawCgroup{Cgroup: cgroup} },
			func() scenario.Op { return scenario.Move{Workers: workers, Cgroup: pick("", cgroup)} },
			func() scenario.Op { return scenario.SetAffinity{Workers: workers, CPUs: sets[1+random.IntN(3)]} },
			func() scenario.Op { return scenario.SetNice{Workers: workers, Nice: random.IntN(20)} },
			func() scenario.Op {
				return scenario.Change{Cgroup: scenario.Cgroup{Name: cgroup, Weight: 1 + random.IntN(10000), CPUs: sets[random.IntN(4)]}}
			},
			func() scenario.Op { return scenario.Capture{Name: fmt.Sprintf("capture %d", len(s.Steps))} },
			func() scenario.Op { return scenario.ReplaceScheduler{Scheduler: fault("docile")} },
			func() scenario.Op { return scenario.SetOnline{CPU: 1, Online: random.IntN(2) == 0} },
		}[random.IntN(13)]()
		step := scenario.Step{Ops: []scenario.Op{op}}
		if random.IntN(4) == 0 {
			step.Hold = time.Duration(1+random.IntN(10)) * time.Millisecond
		}
		s.Steps = append(s.Steps, step)
		if s.Check(scenario.Machine{CPUs: cpus, Scheduler: true}) != nil {
			s.Steps = s.Steps[:len(s.Steps)-1]
		}
	}
	return s
}

func TestRandomScenariosEndAndLeaveNothing(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{CPUs: 2})
	perform := func(seed uint64) *scenario.Report {
		t.Helper()
		require.NoError(t, vm.Attach(bound(t, time.Minute), fault("docile")))
		report, err := vm.TryRun(bound(t, 2*time.Minute), randomScenario(seed, 2))
		require.NoError(t, err, "seed %d", seed)
		_, err = vm.Detach(t.Context())
		require.NoError(t, err, "seed %d", seed)
		requireNothingLeft(t, vm)
		return report
	}
	perform(0) // what is kept for the next one is made here
	ignore, before := goleak.IgnoreCurrent(), openFiles(t)
	for seed := range uint64(*scenarios) {
		first, again := perform(seed+1), perform(seed+1)
		require.Len(t, first.Steps, 50)
		require.Equal(t, first.Trace(), again.Trace(), "seed %d", seed+1)
	}
	goleak.VerifyNone(t, ignore)
	require.Equal(t, before, openFiles(t))
}

// What a worker has waited is what its thread that works has, not those of its Go runtime.
func TestWaitsAreThoseOfTheThreadThatWorks(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{CPUs: 2, Scheduler: fault("docile")})
	workers, err := vm.Work(t.Context(), ktest.Spin, 4)
	require.NoError(t, err)
	require.NoError(t, vm.Hold(t.Context(), 300*time.Millisecond))
	waited := func(pid int) (ns time.Duration) {
		stat, err := vm.ReadFile(t.Context(), fmt.Sprintf("/proc/%d/schedstat", pid))
		require.NoError(t, err)
		_, err = fmt.Sscan(strings.Fields(string(stat))[1], &ns)
		require.NoError(t, err)
		return ns
	}
	before := make([]time.Duration, 4)
	for i, pid := range workers.PIDs {
		before[i] = waited(pid)
	}
	stats, err := workers.Stats(t.Context())
	require.NoError(t, err)
	for i, s := range stats {
		require.Equal(t, workers.PIDs[i], s.PID)
		require.Positive(t, s.Waited)
		require.GreaterOrEqual(t, s.Waited, before[i])
		require.LessOrEqual(t, s.Waited, waited(s.PID))
	}
}

func TestDyingPayload(t *testing.T) {
	how := os.Getenv(envSearch)
	if how == "" {
		t.Skip("TestPayloadThatDiesFailsTheTest runs it")
	}
	vm := ktest.Boot(t, ktest.Config{})
	dies := scenario.Workers{Name: "load", Payload: &scenario.Payload{Args: []string{"/init"}, Env: []string{"KTGEN_ROLE=nonsense"}}}
	running, err := vm.Spawn(t.Context(), dies)
	require.NoError(t, err)
	for len(ktest.Dead(vm)) == 0 {
		require.NoError(t, vm.Hold(t.Context(), time.Millisecond))
	}
	switch how {
	case "stopped":
		_, err = running.Stop(t.Context())
		require.ErrorAs(t, err, new(*scenario.WorkerDiedError))
	case "awaited":
		<-running.Ended()
	}
}

// A payload that dies leaves the guest without load. A test that does not look fails.
func TestPayloadThatDiesFailsTheTest(t *testing.T) {
	for how, fails := range map[string]bool{"unseen": true, "stopped": false, "awaited": false} {
		said, err := search("TestDyingPayload", envSearch+"="+how)
		if strings.Contains(said, "--- SKIP") {
			t.Skip("no guest can boot here")
		}
		require.Equal(t, fails, err != nil, "%s: %s", how, said)
		require.Equal(t, fails, strings.Contains(said, "workers load: "), said)
	}
}
