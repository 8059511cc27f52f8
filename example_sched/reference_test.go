package examplesched_test

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	examplesched "github.com/ktgen/ktgen/example_sched"
	"github.com/ktgen/ktgen/ktest"
	ktrt "github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/scenario"
	"github.com/ktgen/ktgen/series"
)

// This file is what REFERENCE.md says, on a real guest.

// A scenario captures once its workers run, and the test reads what was there.
func TestSnapshotThenInspect(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{CPUs: 2, Scheduler: scheduler})
	vm.Run(
		scenario.Step{
			Cgroups: []scenario.Cgroup{{Name: "workers", Workers: 2, Kind: scenario.SleepWake}},
			Ops:     []scenario.Op{scenario.Capture{Name: "after_spawn"}},
			Hold:    200 * time.Millisecond,
		},
		scenario.Step{Ops: []scenario.Op{scenario.Capture{Name: "after_workload"}}},
	)
	captured, err := vm.Captures().Snapshot("after_spawn")
	require.NoError(t, err)
	snap := examplesched.Bind(t, captured)
	require.EqualValues(t, 2, snap.Bss().NrCpusOnln)
	late, err := vm.Captures().Snapshot("after_workload")
	require.NoError(t, err)
	require.Greater(t, examplesched.Bind(t, late).Bss().NrEnqueued, snap.Bss().NrEnqueued)
}

// Reads by name, in the words of the program's BTF, of a guest that has run.
func TestReadsByNameOfARealGuest(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{CPUs: 2, Scheduler: scheduler})
	workers, err := vm.Work(t.Context(), ktest.Yield, 3)
	require.NoError(t, err)
	snap := vm.Freeze("busy")
	typed := examplesched.Bind(t, snap)
	pid := int32(workers.PIDs[0])
	task := snap.Map("task_ctxs").Lookup(pid)
	number := func(v ktsnap.Value) uint64 {
		t.Helper()
		n, err := v.Uint64()
		require.NoError(t, err)
		return n
	}
	failsAs := func(want any, err error, text string) {
		t.Helper()
		require.ErrorAs(t, err, want)
		require.ErrorContains(t, err, text)
	}

	t.Run("variables of all sections", func(t *testing.T) {
		require.EqualValues(t, 2, number(snap.Var("nr_cpus_onln")))
		require.EqualValues(t, 20_000_000, number(snap.Var("slice_ns")))
		yes, err := snap.Var("account_kthreads").Bool()
		require.NoError(t, err)
		require.True(t, yes)
		reason, err := snap.Var("exit_record").Get("reason").Str()
		require.NoError(t, err)
		require.Empty(t, reason)
		failsAs(new(*ktsnap.VarNotFoundError), snap.Var("nr_cpus_online").Err(), `did you mean "nr_cpus_onln"?`)
	})
	t.Run("entries of a map", func(t *testing.T) {
		m := snap.Map("task_ctxs")
		require.NoError(t, m.At(0).Get("ctx.weight").Err())
		isWorker := func(e ktsnap.Entry) bool {
			comm, err := e.Get("comm").Str()
			return err == nil && strings.HasPrefix(comm, "yield")
		}
		yielding, err := m.Filter(isWorker)
		require.NoError(t, err)
		require.Len(t, yielding, 3)
		require.NoError(t, m.Find(isWorker).Err())
		ran := func(e ktsnap.Entry) uint64 { n, _ := e.Get("stats.nr_runs").Uint64(); return n }
		busiest := ran(m.MaxBy(ran))
		for _, c := range typed.TaskCtxs().All() {
			if c.Stats != nil {
				require.LessOrEqual(t, c.Stats.NrRuns, busiest)
			}
		}
		failsAs(new(*ktsnap.IndexOutOfRangeError), m.At(1<<20).Err(), "task_ctxs")
		failsAs(new(*ktsnap.NoMatchError), m.Find(func(ktsnap.Entry) bool { return false }).Err(), "task_ctxs")
		failsAs(new(*ktsnap.MapNotFoundError), snap.Map("task_ctx").Err(), `did you mean "task_ctxs"?`)
	})
	t.Run("a CPU of a per-CPU map", func(t *testing.T) {
		m := snap.Map("scx_per_task")
		for cpu := range 2 {
			require.EqualValues(t, typed.ScxPerTask().CPU(cpu).At(0).RuntimeNs, number(m.CPU(cpu).At(0).Get("runtime_ns")))
		}
		require.NoError(t, m.CPU(1).Find(func(e ktsnap.Entry) bool { return e.Get("tid").Err() == nil }).Err())
		failsAs(new(*ktsnap.PerCPUSlotError), m.CPU(64).At(0).Get("tid").Err(), "64")
		failsAs(new(*ktsnap.PerCPUNotNarrowedError), m.At(0).Get("tid").Err(), "CPU(")
	})
	t.Run("paths and what they end in", func(t *testing.T) {
		want := typed.TaskCtxs().Get(pid)
		require.EqualValues(t, want.Ctx.Weight, number(task.Get("ctx").Get("weight")))
		policy, err := task.Get("ctx.policy").Str()
		require.NoError(t, err)
		require.Equal(t, "POLICY_NORMAL", policy)
		nice, err := task.Get("nice").Int64()
		require.NoError(t, err)
		require.EqualValues(t, want.Nice, nice)
		require.EqualValues(t, want.Stats.RunBuckets[7], number(task.Get("stats.run_buckets[7]")), "through a pointer")
		weight, err := task.Get("ctx.weight").Float64()
		require.NoError(t, err)
		require.EqualValues(t, want.Ctx.Weight, weight)
		require.EqualValues(t, want.Wakeups, number(task.Get("wakeups").Get("")), "the empty path")
		failsAs(new(*ktsnap.FieldNotFoundError), task.Get("ctx.wieght").Err(), `did you mean "weight"?`)
		failsAs(new(*ktsnap.NotAStructError), task.Get("ctx.weight.x").Err(), "ctx.weight")
		failsAs(new(*ktsnap.EmptyPathComponentError), task.Get("ctx..weight").Err(), "ctx..weight")
		_, err = task.Get("ctx.weight").Str()
		failsAs(new(*ktsnap.TypeMismatchError), err, "ctx.weight")
	})
	t.Run("a pointer that is declared as an integer", func(t *testing.T) {
		v := task.Get("task")
		require.EqualValues(t, typed.TaskCtxs().Get(pid).Task.Addr(), number(v), "it is the address, too")
		require.EqualValues(t, pid, number(task.Get("task.pid")))
		require.Equal(t, "cast→kernel", string(v.Annotation()))
	})
}

// A fault is written before the first task runs, and the state that follows is
// read in the middle of the run.
func TestFaultThenInspect(t *testing.T) {
	fault := ktest.SetAt(examplesched.Open, func(s examplesched.Snap) *bool { return &s.Bss().InjectFault }, true)
	vm := ktest.Boot(t, ktest.Config{CPUs: 1, Scheduler: scheduler.Loaded(ktest.Writing(fault))})
	vm.Run(scenario.Step{
		Cgroups: []scenario.Cgroup{{Name: "workers", Load: []scenario.Workers{{Kind: scenario.Spin}, {Kind: scenario.SleepWake}}}},
		Ops: []scenario.Op{scenario.Hook{What: "set the slice in the middle of the run", Do: func(ctx context.Context) error {
			return vm.Write(ctx, ktest.SetAt(examplesched.Open, func(s examplesched.Snap) *uint64 { return &s.Data().SliceNs }, 3_000_000))
		}}, scenario.Capture{Name: "after"}},
	})
	captured, err := vm.Captures().Snapshot("after")
	require.NoError(t, err)
	snap := examplesched.Bind(t, captured)
	require.True(t, snap.Bss().InjectFault)
	require.EqualValues(t, 3_000_000, snap.Data().SliceNs)
	require.NotZero(t, snap.Bss().NrTasks)

	// The same by the end of a map's name, an offset and a number.
	var offset int
	for i, b := range ktrt.Raw(snap, snap.Bss()) {
		if i == 32 && b == 1 {
			offset = i // of inject_fault, as the comment in Bss says
		}
	}
	require.NoError(t, vm.Poke(t.Context(), ".bss", offset, 1, 0))
	require.False(t, examplesched.Bind(t, vm.Freeze("cleared")).Bss().InjectFault)
}

// Captures at even distances are series, which every pattern judges.
func TestPeriodicCapturesAreJudged(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{CPUs: 2, Scheduler: scheduler})
	_, err := vm.Work(t.Context(), ktest.Yield, 2)
	require.NoError(t, err)
	vm.StartClock()
	p, err := vm.Periodically(t.Context(), ktest.Cadence{Over: 2 * time.Second, N: 8})
	require.NoError(t, err)
	require.NoError(t, p.Wait())
	vm.Freeze("not periodic")

	captures := series.Triggered(vm.Captures().Captures(), series.Cadence)
	require.Len(t, captures, 8)
	require.Equal(t, "periodic_007", captures[7].Name)
	samples := series.Open(captures, examplesched.Open)
	enqueued := series.Of(samples, func(s examplesched.Snap) uint64 { return s.Bss().NrEnqueued })
	done := series.Of(samples, func(s examplesched.Snap) uint64 { return s.Bss().NrDispatched })
	cpus := series.Of(samples, func(s examplesched.Snap) uint32 { return s.Bss().NrCpusOnln })

	vm.Judge(
		series.NonDecreasing(enqueued),
		series.StrictlyIncreasing(done),
		series.RateWithin(done, 1, 1e9),
		series.SteadyWithin(cpus, 0, 0),
		series.ConvergesTo(cpus, 2, 0, captures[2].Elapsed),
		series.AlwaysTrue(series.Of(samples, func(s examplesched.Snap) bool { return s.Bss().NrEnqueued >= s.Bss().NrDispatched })),
		series.RatioWithin(done, enqueued, 0.5, 1),
		series.Each(cpus).Between(1, 2),
		series.Eventually(done.Is(func(n uint64) bool { return n > 0 })),
		series.Never(cpus.Is(func(n uint32) bool { return n > 2 })),
		series.PerKey(samples, func(s examplesched.Snap, add func(int32, uint64)) {
			for pid, c := range s.TaskCtxs().All() {
				if c.Stats != nil {
					add(pid, c.Stats.NrRuns)
				}
			}
		}).Lasting(2).Every(series.NonDecreasing[uint64]),
	)

	// The same by names, and what is not there is no pass.
	byName := series.TryOf(series.Open(captures, dynamic), func(s *ktsnap.Snapshot) (uint64, error) { return s.Var("nr_dispatched").Uint64() })
	series.NonDecreasing(byName).Require(t)
	typo := series.TryOf(series.Open(captures, dynamic), func(s *ktsnap.Snapshot) (uint64, error) { return s.Var("nr_dispached").Uint64() })
	require.Equal(t, series.Inconclusive, series.NonDecreasing(typo).Outcome)
	require.Equal(t, series.Invalid, series.RateWithin(done, 2, 1).Outcome)
	require.Equal(t, series.Inconclusive, series.NonDecreasing(series.Series[uint64]{}).Outcome)
}

// dynamic opens a snapshot for reads by name.
func dynamic(s *ktsnap.Snapshot, _ ...ktrt.Option) (*ktsnap.Snapshot, error) { return s, nil }

// The tests and subtests that REFERENCE.md names are there.
func TestReferenceNamesTestsThatExist(t *testing.T) {
	doc, err := os.ReadFile("REFERENCE.md")
	require.NoError(t, err)
	var sources strings.Builder
	for _, pattern := range []string{"../*/*_test.go", "../runtime/ktsnap/*_test.go", "../vmm/gdb/*_test.go"} {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, file := range files {
			source, err := os.ReadFile(file)
			require.NoError(t, err)
			sources.Write(source)
		}
	}
	rows := 0
	for line := range strings.Lines(string(doc)) {
		cells := strings.Split(strings.ReplaceAll(strings.TrimSpace(line), `\|`, ""), "|")
		if len(cells) < 5 || strings.HasPrefix(cells[1], "-") || strings.TrimSpace(cells[3]) == "test" {
			continue
		}
		rows++
		names := regexp.MustCompile("`(Test[A-Za-z0-9]+)(?:/([^`]+))?`").FindAllStringSubmatch(cells[3], -1)
		require.NotEmpty(t, names, "no test in %s", line)
		for _, name := range names {
			require.Contains(t, sources.String(), "func "+name[1]+"(t *testing.T)")
			if name[2] != "" {
				require.True(t, slices.ContainsFunc([]string{`"` + name[2] + `"`, "`" + name[2] + "`"}, func(s string) bool {
					return strings.Contains(sources.String(), s)
				}), "there is no subtest %q", name[2])
			}
		}
	}
	require.Greater(t, rows, 70)
}
