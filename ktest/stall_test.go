package ktest_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/scenario"
)

func TestTaskThatDoesNotRunIsCapturedBeforeItsSchedulerEnds(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{Scheduler: fault("stall"), ExpectExit: true})
	started := make(chan struct{})
	go func() { // ends when the scheduler has been thrown out
		defer close(started)
		_, _ = vm.Spawn(bound(t, time.Minute), scenario.Workers{Name: "starved", Kind: scenario.Spin})
	}()
	early, waiting, err := vm.CaptureBeforeStall(bound(t, time.Minute))
	require.NoError(t, err)
	require.Equal(t, ktest.BeforeStall, early.Name)
	requireState(t, early, "fault_ops")
	require.NotZero(t, waiting.PID)
	require.NotEmpty(t, waiting.Comm)
	require.GreaterOrEqual(t, 2*waiting.For, waiting.Limit)
	require.Contains(t, waiting.String(), " jiffies")

	late, err := vm.Captures().Await(bound(t, time.Minute), ktest.SchedulerExit)
	require.NoError(t, err)
	require.Less(t, early.Elapsed, late.Elapsed)
	exit, err := vm.AwaitExit(bound(t, time.Minute))
	require.NoError(t, err)
	require.Equal(t, ktest.ExitErrorStall, exit.Kind)
	<-started
}

func TestSchedulerThatDoesNotStallIsNotCaptured(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{Scheduler: fault("docile")})
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, _, err := vm.CaptureBeforeStall(short)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "wait for a task that is about to stall")
	require.Zero(t, vm.Captures().Len())

	ended := make(chan error, 1)
	go func() {
		_, _, err := vm.CaptureBeforeStall(bound(t, time.Minute))
		ended <- err
	}()
	_, err = vm.Detach(t.Context())
	require.NoError(t, err)
	require.ErrorIs(t, <-ended, ktest.ErrNoScheduler)
}
