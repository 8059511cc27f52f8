package ktest_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/sched"
)

// Workers are held back in queues 7 (odd numbers) and 0x100000001 once "parked" is set.
func TestConditionsOnQueuesAreSeenWithoutAPause(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{CPUs: 2, Scheduler: ktest.Object("../sched/testdata/queues.bpf.o")})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	n, err := vm.PeekState(ctx, ktest.DSQLen(7))
	require.NoError(t, err)
	require.Zero(t, n)
	_, err = vm.Work(ctx, ktest.Spin, 6)
	require.NoError(t, err)
	_, err = vm.AwaitState(ctx, ktest.NrRunning(1), func(n int) bool { return n > 0 })
	require.NoError(t, err)
	captures := len(vm.Captures().Captures())

	require.NoError(t, vm.Write(ctx, ktest.SetOf(vm.Freeze("running").Var("parked"), 1)))
	n, err = vm.AwaitState(ctx, ktest.DSQLen(7), func(n int) bool { return n >= 2 })
	require.NoError(t, err)
	require.GreaterOrEqual(t, n, 2)
	c, err := vm.CaptureWhenState(ctx, "parked", ktest.DSQLen(0x100000001), func(n int) bool { return n >= 2 })
	require.NoError(t, err)
	require.GreaterOrEqual(t, sched.Bind(t, c.Snapshot).DSQ(7).Len(), n)
	require.GreaterOrEqual(t, sched.Bind(t, c.Snapshot).DSQ(0x100000001).Len(), 2)
	require.Len(t, vm.Captures().Captures(), captures+2, "looking for a number keeps no capture")

	_, err = vm.PeekState(ctx, ktest.DSQLen(99))
	require.ErrorContains(t, err, "look at the length of dispatch queue 99: there is no such queue: choose one that the guest has: local queue of CPU 0, ")
	_, err = vm.PeekState(ctx, ktest.NrRunning(2))
	require.ErrorContains(t, err, "look at nr_running of CPU 2: there is no such CPU: choose one of 0 to 1")
	short, stop := context.WithTimeout(ctx, 50*time.Millisecond)
	defer stop()
	_, err = vm.AwaitState(short, ktest.LocalLen(0), func(n int) bool { return n > 1000 })
	var never *ktest.CaptureWhenError
	require.ErrorAs(t, err, &never)
	require.Equal(t, "the length of the local queue of CPU 0", never.Path)
	require.Positive(t, never.Looks)
}

// That a queue has gone with its scheduler is no news: that the scheduler has ended is.
func TestConditionsOnAQueueSayThatItsSchedulerHasEnded(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{Scheduler: program(livesOn), Files: withObject("docile"), ExpectExit: true})
	looked := false
	_, err := vm.AwaitState(bound(t, time.Minute), ktest.DSQLen(0), func(int) bool {
		if !looked {
			interrupt(t, vm)
			looked = true
		}
		return false
	})
	var never *ktest.CaptureWhenError
	require.ErrorAs(t, err, &never)
	require.ErrorIs(t, err, ktest.ErrNoScheduler)
	var exited *ktest.ExitedError
	require.ErrorAs(t, err, &exited)
	require.ErrorContains(t, err, "the scheduler has been detached in the guest")
}
