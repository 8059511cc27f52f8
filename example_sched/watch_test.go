package examplesched_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	examplesched "github.com/ktgen/ktgen/example_sched"
	"github.com/ktgen/ktgen/freeze"
	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/scenario"
)

// soon bounds what takes milliseconds on an idle machine.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, fmt.Errorf("a minute is over"))
	t.Cleanup(cancel)
	return ctx
}

// dispatched is named before there is a snapshot.
var dispatched = ktest.FieldAt(examplesched.Open, func(s examplesched.Snap) *uint64 { return &s.Bss().NrDispatched })

// A watch catches each write to a variable: who wrote, what was there, and the
// state of the scheduler in that instant.
func TestWatchCatchesEachWriteToAVariable(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{CPUs: 1, Scheduler: scheduler})
	_, err := vm.Work(t.Context(), ktest.Yield, 2)
	require.NoError(t, err)

	watch, err := vm.Watch(t.Context(), dispatched, ktest.WatchOptions{
		Capture: "dispatched",
		Max:     5,
	})
	require.NoError(t, err)
	_, err = watch.Await(soon(t), 5)
	require.NoError(t, err)

	fires := watch.Fires()
	require.Len(t, fires, 5)
	for i, fire := range fires {
		require.Equal(t, i+1, fire.N)
		require.Equal(t, fire.Old+1, fire.New, "it is a counter")
		require.Equal(t, 0, fire.CPU)
		require.True(t, fire.Function.BPF)
		require.Equal(t, "tally_dispatch", fire.Function.Source)
		require.NoError(t, fire.CaptureErr)
		at := examplesched.Bind(t, fire.Snapshot)
		require.Equal(t, fire.New, at.Bss().NrDispatched, "the snapshot is of the instant after the write")
		if i > 0 {
			require.Equal(t, fires[i-1].New, fire.Old, "no write is missed")
		}
	}
	require.False(t, watch.Stats().Armed, "Max ends it")
	require.NoError(t, watch.Close())
	require.NotNil(t, vm.Freeze("after"))
}

// Of 100 writes in a row none is missed and none invented, and each is told with
// the CPU and the function that it was made by.
func TestWatchCatches100Of100Writes(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{CPUs: 2, Scheduler: scheduler})
	_, err := vm.Spawn(t.Context(), scenario.Workers{Kind: scenario.Yield, Count: 2, CPUs: []int{1}})
	require.NoError(t, err)
	switches := ktest.FieldAt(examplesched.Open, func(s examplesched.Snap) *uint32 { return &s.ScxPerTask().CPU(1).At(0).Switches })
	watch, err := vm.Watch(t.Context(), switches, ktest.WatchOptions{Max: 100, Unchanged: true})
	require.NoError(t, err)
	_, err = watch.Await(soon(t), 100)
	require.NoError(t, err)
	require.NoError(t, watch.Close())
	fires := watch.Fires()
	require.Len(t, fires, 100)
	for i, fire := range fires {
		require.Equal(t, fires[0].Old+uint64(i), fire.Old)
		require.Equal(t, fire.Old+1, fire.New)
		require.Equal(t, 1, fire.CPU)
		require.Equal(t, "tally_running", fire.Function.Source)
	}
	after := examplesched.Bind(t, vm.Freeze("after")).ScxPerTask().CPU(1).At(0).Switches
	require.GreaterOrEqual(t, uint64(after), fires[99].New)
}

// CPUs that write at the same time are one hit to QEMU, and which of them it is
// said to be of can be wrong. The values add up.
func TestWatchAddsUpWhereCPUsWriteAtOnce(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{CPUs: 2, Scheduler: scheduler})
	_, err := vm.Work(t.Context(), ktest.Yield, 4)
	require.NoError(t, err)
	snap := examplesched.Bind(t, vm.Freeze("before"))
	watch, err := vm.Watch(t.Context(), ktest.Field(snap, &snap.Bss().NrDispatched), ktest.WatchOptions{Max: 300})
	require.NoError(t, err)
	_, err = watch.Await(soon(t), 300)
	require.NoError(t, err)
	require.NoError(t, watch.Close())
	wrote := make(map[int]int)
	for i, fire := range watch.Fires() {
		wrote[fire.CPU]++
		require.Less(t, fire.Old, fire.New)
		if i > 0 {
			require.Equal(t, watch.Fires()[i-1].New, fire.Old)
		}
	}
	require.Len(t, wrote, 2, "both CPUs write: %v", wrote)
}

func TestWatchOfABitfieldFiresWhenItChanges(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{CPUs: 2, Scheduler: scheduler})
	workers, err := vm.Work(t.Context(), ktest.Sleep, 1)
	require.NoError(t, err)
	snap := examplesched.Bind(t, vm.Freeze("before"))
	task := snap.TaskCtxs().Get(int32(workers.PIDs[0]))

	watch, err := vm.Watch(t.Context(), ktest.Field(snap, &task.OnCpu), ktest.WatchOptions{})
	require.NoError(t, err)
	_, err = watch.Await(soon(t), 6)
	require.NoError(t, err)
	require.NoError(t, watch.Close())
	for i, fire := range watch.Fires() {
		require.Equal(t, fire.Old^1, fire.New)
		want := "tally_stopping"
		if fire.New == 1 {
			want = "tally_running"
		}
		require.Equal(t, want, fire.Function.Source)
		if i > 0 {
			require.Equal(t, watch.Fires()[i-1].New, fire.Old)
		}
	}
}

func TestWatchConditions(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{CPUs: 1, Scheduler: scheduler})
	_, err := vm.Work(t.Context(), ktest.Yield, 2)
	require.NoError(t, err)
	snap := examplesched.Bind(t, vm.Freeze("before"))
	target := ktest.Field(snap, &snap.Bss().NrDispatched)

	var seen []ktest.Fire
	watch, err := vm.Watch(t.Context(), target, ktest.WatchOptions{
		When:   func(f ktest.Fire) bool { return f.New%2 == 0 },
		Every:  3,
		Max:    4,
		OnFire: func(f ktest.Fire) { seen = append(seen, f) },
	})
	require.NoError(t, err)
	_, err = watch.Await(soon(t), 4)
	require.NoError(t, err)
	require.NoError(t, watch.Close())
	require.Len(t, seen, 4)
	for i, fire := range seen {
		require.Zero(t, fire.New%2)
		if i > 0 {
			require.Equal(t, seen[i-1].New+6, fire.New, "every third even value")
		}
	}
	stats := watch.Stats()
	require.Equal(t, 4, stats.Fires)
	require.Equal(t, 8, stats.Passed)

	t.Run("that never come true", func(t *testing.T) {
		watch, err := vm.Watch(t.Context(), target, ktest.WatchOptions{When: func(ktest.Fire) bool { return false }, Rate: 20})
		require.NoError(t, err)
		ctx, cancel := context.WithTimeoutCause(t.Context(), 1500*time.Millisecond, fmt.Errorf("enough"))
		defer cancel()
		_, err = watch.Await(ctx, 1)
		require.ErrorContains(t, err, "wait for fire 1 of the watch of .bss.nr_dispatched: it has fired 0 times (")
		require.ErrorContains(t, err, " refused by When): enough")
		require.NoError(t, watch.Close())
		require.Positive(t, watch.Stats().Blind, "more than 20 writes a second are too many")
	})
}

func TestWatchOfTheKernelsVariables(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{CPUs: 2})
	watch, err := vm.Watch(t.Context(), ktest.Symbol("panic_timeout", 4), ktest.WatchOptions{})
	require.NoError(t, err)
	for i := range 100 {
		require.NoError(t, vm.WriteFile(t.Context(), "/proc/sys/kernel/panic", fmt.Append(nil, i+1), 0))
	}
	require.NoError(t, watch.Close())
	fires := watch.Fires()
	require.Len(t, fires, 100)
	for i, fire := range fires {
		require.EqualValues(t, i+1, fire.New)
		require.False(t, fire.Function.BPF)
		require.Contains(t, fire.Function.Name, "proc", "it writes sysctls")
	}

	for name, test := range map[string]struct {
		target ktest.Target
		want   string
	}{
		"typing error": {ktest.Symbol("panic_timeot", 4), `has no symbol "panic_timeot" (did you mean "panic_timeout"?)`},
		"per-CPU":      {ktest.Symbol("runqueues", 4), `choose one with ktest.Symbol("runqueues", size).CPU(n)`},
		"not per-CPU":  {ktest.Symbol("panic_timeout", 4).CPU(0), "leave out CPU(0)"},
		"no such CPU":  {ktest.Symbol("runqueues", 4).CPU(7), "the guest has no CPU 7"},
		"a size of 3":  {ktest.Symbol("panic_timeout", 3), "has 1, 2, 4 or 8 bytes"},
	} {
		_, err := vm.Watch(t.Context(), test.target, ktest.WatchOptions{})
		require.ErrorContains(t, err, test.want, name)
	}
}

// A place that is named before there is a snapshot is looked for when it is
// needed, and an error says where it was named and why it is not there.
func TestPlacesThatCannotBeFoundSayWhy(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{Scheduler: scheduler})
	nobody := func(s examplesched.Snap) *uint32 { return &s.TaskCtxs().Get(-1).Wakeups }
	_, err := vm.Watch(t.Context(), ktest.FieldAt(examplesched.Open, nobody), ktest.WatchOptions{})
	require.ErrorContains(t, err, "watch the value of watch_test.go:")
	var missing *ktsnap.KeyNotFoundError
	require.ErrorAs(t, err, &missing)
	err = vm.Write(t.Context(), ktest.SetAt(examplesched.Open, nobody, 1))
	require.ErrorAs(t, err, &missing)
	require.ErrorContains(t, err, "set the value of watch_test.go:")

	record := func(s examplesched.Snap) *examplesched.ExitRecord { return &s.Bss().ExitRecord }
	_, err = vm.Watch(t.Context(), ktest.FieldAt(examplesched.Open, record), ktest.WatchOptions{})
	require.ErrorContains(t, err, "choose a member")
	require.Zero(t, vm.Captures().Len(), "looking for a place captures nothing")
}

// What is watched can go away. The watch ends then, and says why; the guest
// does not mind.
func TestWatchEndsWithWhatItLooksAt(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{Scheduler: scheduler})
	workers, err := vm.Work(t.Context(), ktest.Yield, 1)
	require.NoError(t, err)
	pid := int32(workers.PIDs[0])
	switches := ktest.FieldAt(examplesched.Open, func(s examplesched.Snap) *uint32 { return &s.TaskCtxs().Get(pid).Wakeups })
	ofTask, err := vm.Watch(t.Context(), switches, ktest.WatchOptions{})
	require.NoError(t, err)
	ofMap, err := vm.Watch(t.Context(), dispatched, ktest.WatchOptions{Rate: 10})
	require.NoError(t, err)
	_, err = ofMap.Await(soon(t), 1)
	require.NoError(t, err)
	_, err = workers.Stop(t.Context())
	require.NoError(t, err)

	_, err = vm.Detach(t.Context())
	require.NoError(t, err)
	_, err = ofMap.Await(soon(t), 1_000_000)
	require.ErrorIs(t, err, freeze.ErrMapGone)
	_, err = ofTask.Await(soon(t), 1_000_000)
	require.Error(t, err)
	require.True(t, errors.Is(err, freeze.ErrMapGone) || errors.Is(err, freeze.ErrEntryGone), "%v", err)
	for _, w := range []*ktest.Watch{ofTask, ofMap} {
		require.False(t, w.Stats().Armed)
		require.Error(t, w.Err())
		require.NoError(t, w.Close())
	}

	// The guest runs on, and the next scheduler is watched as the first one was.
	require.NoError(t, vm.Attach(t.Context(), scheduler))
	_, err = vm.Work(t.Context(), ktest.Yield, 1)
	require.NoError(t, err)
	again, err := vm.Watch(t.Context(), dispatched, ktest.WatchOptions{Max: 1})
	require.NoError(t, err)
	_, err = again.Await(soon(t), 1)
	require.NoError(t, err)
}

func TestWatchOfAPerCPUVariable(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{CPUs: 2})
	_, err := vm.Work(t.Context(), ktest.Yield, 4)
	require.NoError(t, err)
	for cpu := range 2 {
		// A CPU's current task is written by that CPU, when it switches.
		watch, err := vm.Watch(t.Context(), ktest.Symbol("current_task", 8).CPU(cpu), ktest.WatchOptions{Max: 10})
		require.NoError(t, err)
		_, err = watch.Await(soon(t), 10)
		require.NoError(t, err)
		for _, fire := range watch.Fires() {
			require.Equal(t, cpu, fire.CPU, "%v", fire)
			require.False(t, fire.Function.BPF)
		}
		require.NoError(t, watch.Close())
	}
}
