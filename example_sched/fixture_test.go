package examplesched_test

import (
	"testing"

	examplesched "github.com/ktgen/ktgen/example_sched"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/series"
	"github.com/stretchr/testify/require"
)

// requireTally is an assertion that is worth a test of its own: each run of a
// task is in one of its buckets, and a task that is on a CPU is the one that
// the CPU's books name.
func requireTally(tb require.TestingT, snap examplesched.Snap) {
	for pid, task := range snap.TaskCtxs().All() {
		if task.Stats != nil {
			var runs uint64
			for _, n := range task.Stats.RunBuckets {
				runs += n
			}
			require.Equal(tb, task.Stats.NrRuns, runs, "runs of task %d", pid)
		}
		if task.OnCpu != 0 {
			require.Equal(tb, pid, snap.ScxPerTask().CPU(int(task.LastCpu)).At(0).Tid, "on CPU %d", task.LastCpu)
		}
	}
}

// tally is a state in which the books are right.
func tally() examplesched.Fixture {
	stats := &examplesched.TaskStats{Pid: 41, Generation: 1, NrRuns: 6, RunBuckets: [8]uint64{1, 2, 3}}
	return examplesched.Fixture{
		Bss: examplesched.Bss{NrCpusOnln: 2, NrEnqueued: 7, NrDispatched: 6, StatsPool: stats},
		TaskCtxs: map[int32]*examplesched.TaskCtx{
			41: {Ctx: examplesched.Ctx{Weight: 100}, Comm: "spin", Stats: stats, OnCpu: 1, LastCpu: 1, Nice: -5},
			42: {Ctx: examplesched.Ctx{Weight: 300, Policy: examplesched.POLICY_BATCH}},
		},
		TaskStates: map[ktsnap.Owner]*examplesched.TaskState{
			{PID: 41, TGID: 41, Comm: "spin"}: {Stats: stats, Weight: 100},
		},
		ScxPerTask: [][]examplesched.CpuRun{
			{{Tid: 42}},
			{{Tid: 41, Ctx: examplesched.Ctx{Weight: 100}}},
		},
		TallyOps: examplesched.SchedExtOps{Name: "tally", TimeoutMs: 5000},
	}
}

// An assertion is tested on states that are made by hand: in microseconds, and
// also on those that a guest does not get into.
func TestAssertionsAreTestedWithoutAGuest(t *testing.T) {
	snap := tally().Bind(t)
	requireTally(t, snap)
	require.EqualValues(t, 2, snap.Bss().NrCpusOnln)
	require.Equal(t, "tally", snap.TallyOps().Name)
	require.EqualValues(t, -5, snap.TaskCtxs().Get(41).Nice)
	require.Same(t, snap.Bss().StatsPool, snap.TaskStates().Get(41).Stats)

	wrong := tally()
	wrong.TaskCtxs[41].Stats.NrRuns++
	require.Contains(t, complaint(wrong), "runs of task 41")
	wrong = tally()
	wrong.TaskCtxs[41].LastCpu = 0
	require.Contains(t, complaint(wrong), "on CPU 0")
}

// complaint returns what requireTally has against a state.
func complaint(f examplesched.Fixture) string {
	snap, err := f.Open()
	if err != nil {
		return err.Error()
	}
	r := new(recorder)
	requireTally(r, snap)
	return r.message
}

// recorder is a test that fails without an end.
type recorder struct{ message string }

func (r *recorder) Errorf(format string, args ...any) { r.message += args[0].(string) }
func (r *recorder) FailNow()                          {}

// A series of fixtures tests a judgement over time.
func TestJudgementsOverTimeAreTestedWithoutAGuest(t *testing.T) {
	var snapshots []*ktsnap.Snapshot
	for _, n := range []uint64{10, 20, 15} {
		snapshots = append(snapshots, examplesched.Fixture{Bss: examplesched.Bss{NrDispatched: n}}.Snapshot(t))
	}
	dispatched := func(s examplesched.Snap) uint64 { return s.Bss().NrDispatched }
	samples := series.Open(series.Snapshots(snapshots...), examplesched.Open)
	require.Equal(t, series.Pass, series.NonDecreasing(series.Of(samples[:2], dispatched)).Outcome)
	require.Equal(t, series.Fail, series.NonDecreasing(series.Of(samples, dispatched)).Outcome)
}

// BenchmarkFixture is a whole assertion test: fixture, binding, reads.
func BenchmarkFixture(b *testing.B) {
	for b.Loop() {
		snap, err := tally().Open()
		if err != nil {
			b.Fatal(err)
		}
		requireTally(b, snap)
	}
}
