package ktest_test

import (
	"context"
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
)

//go:generate testdata/build

// fault is a scheduler with one fault; see testdata/fault.bpf.c.
func fault(name string) ktest.Scheduler { return ktest.Object("testdata/" + name + ".bpf.o") }

// bound keeps a test that waits for a guest from waiting for ever.
func bound(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestSchedulersFollowOneAnother(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{})
	ctx := bound(t, 2*time.Minute)
	for range 3 {
		require.NoError(t, vm.Attach(ctx, fault("docile")))
		var busy *ktest.BusyError
		require.ErrorAs(t, vm.Attach(ctx, fault("docile")), &busy)
		require.Equal(t, "fault", busy.Scheduler)

		exit, err := vm.Detach(ctx)
		require.NoError(t, err)
		require.Equal(t, ktest.ExitUnreg, exit.Kind)
		require.Equal(t, "fault", exit.Scheduler)
		require.NoError(t, exit.Err())
	}
	_, err := vm.Detach(ctx)
	require.NoError(t, err, "the last exit is told again")
}

func TestObjectGetsWhatTheKernelsHeadersAskOfALoader(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{Scheduler: fault("docile")})
	_, err := vm.Work(bound(t, time.Minute), ktest.Sleep, 1)
	require.NoError(t, err)
	snap := vm.Freeze("running")

	slice := mapNamed(t, snap, "docile.rodata").Values
	require.EqualValues(t, 20_000_000, binary.LittleEndian.Uint64(slice), "SCX_SLICE_DFL, include/linux/sched/ext.h")
	counters := mapNamed(t, snap, "docile.bss").Values
	require.EqualValues(t, 1, binary.LittleEndian.Uint32(counters), "the tracing program saw the scheduler attach")
	require.EqualValues(t, 1, binary.LittleEndian.Uint32(counters[4:]), "a kfunc that is not there is NULL")
}

func TestDetachWithoutASchedulerSaysSo(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{})
	_, err := vm.Detach(t.Context())
	require.ErrorIs(t, err, ktest.ErrNoScheduler)
	_, err = vm.AwaitExit(t.Context())
	require.ErrorIs(t, err, ktest.ErrNoScheduler)
}

func TestVerifierRejectionComesWithItsLog(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{})
	err := vm.Attach(bound(t, time.Minute), fault("reject"))
	var rejected *ktest.RejectedError
	require.ErrorAs(t, err, &rejected)
	require.Equal(t, "fault_enqueue", rejected.Program)
	require.Contains(t, rejected.Reason, "cannot write into")
	require.Contains(t, rejected.Log, rejected.Reason)
	require.ErrorContains(t, err, "p->pid = 1;", "the message shows the source line")
}

func TestSchedulerThatFailsToInitialise(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{})
	err := vm.Attach(bound(t, time.Minute), fault("init-error"))
	var exited *ktest.ExitedError
	require.ErrorAs(t, err, &exited)
	require.Equal(t, ktest.ExitErrorBPF, exited.Exit.Kind)
	require.Equal(t, "the fault was asked for", exited.Exit.Message)
}

func TestSchedulerThatEndsInAnError(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{Scheduler: fault("error"), ExpectExit: true})
	ctx := bound(t, time.Minute)
	_, err := vm.Work(ctx, ktest.Spin, 1)
	require.NoError(t, err)

	exit, err := vm.AwaitExit(ctx)
	require.NoError(t, err)
	require.Equal(t, ktest.ExitErrorBPF, exit.Kind)
	require.Equal(t, "scx_bpf_error", exit.Reason)
	require.Equal(t, "the fault was asked for", exit.Message)
	require.Contains(t, exit.Dump, "CPU states")
	require.Error(t, exit.Err())
}

func TestSchedulerThatEndsByItself(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{Scheduler: fault("quit")})
	ctx := bound(t, time.Minute)
	_, err := vm.Work(ctx, ktest.Spin, 1)
	require.NoError(t, err)

	exit, err := vm.AwaitExit(ctx)
	require.NoError(t, err)
	require.Equal(t, ktest.ExitUnregBPF, exit.Kind)
	require.Equal(t, "the fault was asked for", exit.Message)
	require.NoError(t, exit.Err())
	before, err := vm.Captures().Snapshot(ktest.BeforeExit)
	require.NoError(t, err)
	_, err = vm.Captures().Snapshot(ktest.SchedulerExit)
	require.NoError(t, err)
	require.Equal(t, "the fault was asked for", before.Scheduler.Message)
}

func TestSchedulerThatStalls(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{Scheduler: fault("stall"), ExpectExit: true})
	ctx := bound(t, 2*time.Minute)
	stuck := make(chan error, 1)
	go func() {
		_, err := vm.Exec(ctx, "/init", "-test.run=^$") // any program: it is never dispatched until the stall is over
		stuck <- err
	}()

	version, err := vm.ReadFile(ctx, "/sys/kernel/sched_ext/root/ops")
	require.NoError(t, err, "the agent runs on while nothing else does")
	require.Equal(t, "fault\n", string(version))
	exit, err := vm.AwaitExit(ctx)
	require.NoError(t, err)
	var exited *ktest.ExitedError
	require.ErrorAs(t, exit.Err(), &exited)
	require.True(t, exited.Stalled())
	require.NotEmpty(t, exit.Dump)
	<-stuck
}
