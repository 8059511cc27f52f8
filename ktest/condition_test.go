package ktest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	examplesched "github.com/ktgen/ktgen/example_sched"
	"github.com/ktgen/ktgen/freeze"
	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/series"
)

func TestConditionsAreLookedAtWhileTheGuestRuns(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{Scheduler: ktest.Object(exampleObject)})
	workers, err := vm.Work(t.Context(), ktest.Yield, 2)
	require.NoError(t, err)
	snap := examplesched.Bind(t, vm.Freeze("start"))
	before := vm.Captures().Len()

	want := snap.Bss().NrEnqueued + 100
	c, err := ktest.CaptureWhen(bound(t, time.Minute), vm, "busy", snap, &snap.Bss().NrEnqueued, func(n uint64) bool { return n >= want })
	require.NoError(t, err)
	require.Equal(t, series.Event, c.Trigger)
	require.GreaterOrEqual(t, examplesched.Bind(t, c.Snapshot).Bss().NrEnqueued, want)
	require.Equal(t, before+1, vm.Captures().Len(), "looking does not capture")

	// Every kind of number: they are what the next snapshot has of a guest at rest.
	require.NoError(t, vm.Machine().Pause(t.Context()))
	credit, err := ktest.Peek(t.Context(), vm, snap, &snap.Data().SleepCreditPct)
	require.NoError(t, err)
	require.Equal(t, snap.Data().SleepCreditPct, credit)
	kthreads, err := ktest.Peek(t.Context(), vm, snap, &snap.Rodata().AccountKthreads)
	require.NoError(t, err)
	require.True(t, kthreads)
	task := snap.TaskCtxs().Get(int32(workers.PIDs[0]))
	nice, err := ktest.Peek(t.Context(), vm, snap, &task.Nice)
	require.NoError(t, err)
	require.Equal(t, task.Nice, nice)
	pid, err := ktest.Peek(t.Context(), vm, snap, &task.Stats.Pid)
	require.NoError(t, err)
	require.EqualValues(t, workers.PIDs[0], pid, "in the arena, too")
	require.NoError(t, vm.Machine().Resume())
}

func TestConditionsThatDoNotComeTrueSayWhatWasSeen(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{Scheduler: ktest.Object(exampleObject)})
	snap := examplesched.Bind(t, vm.Freeze("start"))
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var never *ktest.CaptureWhenError
	_, err := ktest.CaptureWhen(short, vm, "x", snap, &snap.Bss().NrCpusOnln, func(n uint32) bool { return n == 99 })
	require.ErrorAs(t, err, &never)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.EqualValues(t, 2, never.Last)
	require.ErrorContains(t, err, "the condition on .bss.nr_cpus_onln has not come true; its value is 2 (seen ")

	ended := make(chan error, 1)
	go func() {
		_, err := ktest.CaptureWhen(bound(t, time.Minute), vm, "x", snap, &snap.Bss().NrCpusOnln, func(n uint32) bool { return n == 99 })
		ended <- err
	}()
	_, err = vm.Detach(t.Context())
	require.NoError(t, err)
	err = <-ended
	require.ErrorAs(t, err, &never)
	require.ErrorIs(t, err, ktest.ErrNoScheduler)
}

// What is looked at can go away, and its memory be another's: looks say so.
func TestLooksAtWhatIsGoneFail(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{Scheduler: ktest.Object(exampleObject)})
	workers, err := vm.Work(t.Context(), ktest.Yield, 1)
	require.NoError(t, err)
	snap := examplesched.Bind(t, vm.Freeze("start"))
	task := snap.TaskCtxs().Get(int32(workers.PIDs[0]))
	watch, err := vm.Watch(t.Context(), ktest.Field(snap, &task.Nice), ktest.WatchOptions{})
	require.NoError(t, err)
	_, err = ktest.Peek(t.Context(), vm, snap, &task.Wakeups)
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() {
		_, err := ktest.CaptureWhen(bound(t, time.Minute), vm, "x", snap, &task.Wakeups, func(uint32) bool { return false })
		ended <- err
	}()
	_, err = workers.Stop(t.Context())
	require.NoError(t, err)
	err = <-ended
	require.ErrorAs(t, err, new(*ktest.CaptureWhenError))
	require.ErrorIs(t, err, freeze.ErrEntryGone)
	_, err = ktest.Peek(t.Context(), vm, snap, &task.Wakeups)
	require.ErrorIs(t, err, freeze.ErrEntryGone)
	_, err = watch.Await(bound(t, time.Minute), 1_000_000)
	require.ErrorIs(t, err, freeze.ErrEntryGone)
	_, err = vm.Watch(t.Context(), ktest.Field(snap, &task.Nice), ktest.WatchOptions{})
	require.ErrorIs(t, err, freeze.ErrEntryGone)

	_, err = vm.Detach(t.Context())
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err := ktest.Peek(t.Context(), vm, snap, &snap.Bss().NrCpusOnln)
		return errors.Is(err, freeze.ErrMapGone)
	}, time.Minute, 10*time.Millisecond)
	_, err = ktest.CaptureWhen(bound(t, time.Minute), vm, "x", snap, &snap.Bss().NrCpusOnln, func(n uint32) bool { return n == 2 })
	require.ErrorIs(t, err, freeze.ErrMapGone)
	require.ErrorIs(t, err, ktest.ErrNoScheduler)

	// Of the next one, that has maps of the same names in other memory.
	require.NoError(t, vm.Attach(t.Context(), ktest.Object(exampleObject)))
	for name, target := range map[string]ktest.Target{"storage": ktest.Field(snap, &task.Nice), "section": ktest.Field(snap, &snap.Bss().NrCpusOnln)} {
		_, err = vm.Watch(t.Context(), target, ktest.WatchOptions{})
		require.ErrorIs(t, err, freeze.ErrMapGone, name)
		require.NotContains(t, err.Error(), "nil")
	}
}

// BenchmarkPeek is the cost of a look at a variable of a running guest.
func BenchmarkPeek(b *testing.B) {
	vm := ktest.Boot(b, ktest.Config{Scheduler: ktest.Object(exampleObject)})
	snap := examplesched.Bind(b, vm.Freeze("start"))
	for b.Loop() {
		if _, err := ktest.Peek(b.Context(), vm, snap, &snap.Bss().NrEnqueued); err != nil {
			b.Fatal(err)
		}
	}
}
