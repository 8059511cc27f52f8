package examplesched_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	examplesched "github.com/ktgen/ktgen/example_sched"
	"github.com/ktgen/ktgen/freeze"
	"github.com/ktgen/ktgen/ktest"
	ktrt "github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// Everything that can be read by type can be written by type. With the books
// closed, the scheduler writes nothing itself.
func TestWritesAreReadBack(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{CPUs: 2, Scheduler: scheduler})
	workers, err := vm.Work(t.Context(), ktest.Sleep, 2)
	require.NoError(t, err)
	pid := int32(workers.PIDs[0])

	snap := examplesched.Bind(t, vm.Freeze("before"))
	require.NoError(t, vm.Write(t.Context(), ktest.Set(snap, &snap.Bss().BooksClosed, true)))
	snap = examplesched.Bind(t, vm.Freeze("closed"))
	task, run := snap.TaskCtxs().Get(pid), snap.ScxPerTask().CPU(1).At(0)
	stats := task.Stats

	require.NoError(t, vm.Write(t.Context(),
		ktest.Set(snap, &snap.Data().SliceNs, 5_000_000),
		ktest.Set(snap, &snap.Bss().RunsByPolicy[3], 0x0102030405060708),
		ktest.Set(snap, &snap.Bss().ExitRecord.Reason, "written by a test"),
		ktest.Set(snap, &task.Nice, -20),
		ktest.Set(snap, &task.LastCpu, 0xabc),
		ktest.Set(snap, &task.Ctx, examplesched.Ctx{Weight: 7, Policy: examplesched.POLICY_BATCH}),
		ktest.Set(snap, &run.Switches, 12345),
		ktest.Set(snap, &stats.RunBuckets[7], 77),
	))

	now := examplesched.Bind(t, vm.Freeze("written"))
	require.EqualValues(t, 5_000_000, now.Data().SliceNs)
	require.EqualValues(t, 0x0102030405060708, now.Bss().RunsByPolicy[3])
	require.Equal(t, "written by a test", now.Bss().ExitRecord.Reason)
	want := *task
	want.Nice, want.LastCpu, want.Ctx = -20, 0xabc, examplesched.Ctx{Weight: 7, Policy: examplesched.POLICY_BATCH}
	require.Equal(t, task.Task.Addr(), now.TaskCtxs().Get(pid).Task.Addr())
	want.Stats, want.Task = now.TaskCtxs().Get(pid).Stats, now.TaskCtxs().Get(pid).Task // pointers are those of a snapshot
	require.Equal(t, want, *now.TaskCtxs().Get(pid), "the bits beside a bitfield stay")
	require.EqualValues(t, 12345, now.ScxPerTask().CPU(1).At(0).Switches)
	require.Equal(t, snap.ScxPerTask().CPU(0).At(0).Switches, now.ScxPerTask().CPU(0).At(0).Switches)
	require.EqualValues(t, 77, now.TaskCtxs().Get(pid).Stats.RunBuckets[7])
	require.Equal(t, pid, now.TaskCtxs().Get(pid).Stats.Pid)

	t.Run("by name and path", func(t *testing.T) {
		dynamic := vm.Freeze("dynamic")
		require.NoError(t, vm.Write(t.Context(),
			ktest.SetOf(dynamic.Var("sleep_credit_pct"), 42),
			ktest.SetOf(dynamic.Map("task_ctxs").Lookup(pid).Get("kthread"), 1)))
		require.NoError(t, vm.Poke(t.Context(), ".bss", 8, 8, 99))
		after := examplesched.Bind(t, vm.Freeze("after"))
		require.EqualValues(t, 42, after.Data().SleepCreditPct)
		require.EqualValues(t, 1, after.TaskCtxs().Get(pid).Kthread)
		require.EqualValues(t, 99, ktrt.Raw(after, after.Bss())[8])
	})
}

func TestWritesThatCannotBeAreRefused(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{CPUs: 2, Scheduler: scheduler})
	workers, err := vm.Work(t.Context(), ktest.Sleep, 1)
	require.NoError(t, err)
	snap := examplesched.Bind(t, vm.Freeze("before"))
	task := snap.TaskCtxs().Get(int32(workers.PIDs[0]))

	var misfit *ktrt.AssignError
	err = vm.Write(t.Context(), ktest.Set(snap, &task.Nice, 100))
	require.ErrorAs(t, err, &misfit)
	require.ErrorContains(t, err, "nice: 100 does not fit its 6 bits, which hold -32 to 31")
	err = vm.Write(t.Context(), ktest.Set(snap, &task.Comm, "a name of more than 16 bytes"))
	require.ErrorAs(t, err, &misfit)

	err = vm.Write(t.Context(), ktest.Set(snap, &snap.Data().SliceNs, 1), ktest.Set(snap, &snap.Rodata().SliceMinNs, 1))
	require.ErrorIs(t, err, freeze.ErrReadOnly)
	require.ErrorContains(t, err, "write .rodata.slice_min_ns: ")
	require.EqualValues(t, 20_000_000, examplesched.Bind(t, vm.Freeze("untouched")).Data().SliceNs, "all writes or none")

	require.ErrorIs(t, vm.Poke(t.Context(), ".bss", 1<<20, 4, 1), freeze.ErrOutOfRange)
	var missing *ktsnap.MapNotFoundError
	require.ErrorAs(t, vm.Poke(t.Context(), ".bsz", 0, 4, 1), &missing)
	require.ErrorContains(t, vm.Poke(t.Context(), ".bss", 0, 1, 256), "256 does not fit")
	require.ErrorContains(t, vm.Poke(t.Context(), "task_ctxs", 0, 4, 1), "and not an array in one piece")

	_, err = workers.Stop(t.Context())
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, there := examplesched.Bind(t, vm.Freeze("stopping")).TaskCtxs().Lookup(int32(workers.PIDs[0]))
		return !there
	}, time.Minute, 10*time.Millisecond, "the kernel frees a task some time after its end")
	gone := vm.Write(t.Context(), ktest.Set(snap, &task.Wakeups, 1))
	require.ErrorIs(t, gone, freeze.ErrEntryGone)
	require.ErrorContains(t, gone, "nothing was written")

	_, err = vm.Detach(t.Context())
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		return errors.Is(vm.Write(t.Context(), ktest.Set(snap, &snap.Data().SliceNs, 1)), freeze.ErrMapGone)
	}, time.Minute, 10*time.Millisecond, "the kernel frees maps some time after the last program that uses them")
}

// What is written before the scheduler is attached is there for the first task.
func TestWriteBeforeTheFirstTask(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{CPUs: 2, Scheduler: scheduler.Loaded(func(ctx context.Context, vm *ktest.VM) error {
		snap, err := vm.TryFreeze(ctx, "loaded")
		if err != nil {
			return err
		}
		bound := examplesched.Bind(t, snap)
		require.Zero(t, bound.Bss().NrTasks, "no task has been seen")
		return vm.Write(ctx, ktest.Set(bound, &bound.Bss().BooksClosed, true))
	})})
	_, err := vm.Work(t.Context(), ktest.Yield, 2)
	require.NoError(t, err)
	snap := examplesched.Bind(t, vm.Freeze("running"))
	require.Zero(t, snap.Bss().NrEnqueued, "the books were closed from the beginning")
}
