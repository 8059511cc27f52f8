package examplesched_test

import (
	"testing"

	examplesched "github.com/ktgen/ktgen/example_sched"
	"github.com/ktgen/ktgen/ktest"
	ktrt "github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/stretchr/testify/require"
)

// A test boots a guest with the scheduler, gives it work, and freezes it when
// something is to be asked.
func TestSpinningTasksShareTheCPUs(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{CPUs: 2, Scheduler: scheduler})
	workers, err := vm.Work(t.Context(), ktest.Spin, 3)
	require.NoError(t, err)

	snap := examplesched.Bind(t, vm.Freeze("spinning"))

	require.EqualValues(t, 2, snap.Bss().NrCpusOnln)
	require.EqualValues(t, 20_000_000, snap.Data().SliceNs)
	require.True(t, snap.Rodata().AccountKthreads)
	require.Equal(t, "tally", snap.TallyOps().Name)
	require.EqualValues(t, 20_000, snap.TallyOps().TimeoutMs)

	// What is in a map is a Go value: it can be compared, printed, ranged over.
	normal := examplesched.Ctx{Weight: 100, Policy: examplesched.POLICY_NORMAL}
	for _, pid := range workers.PIDs {
		task := snap.TaskCtxs().Get(int32(pid))
		require.Equal(t, normal, task.Ctx)
		require.Contains(t, task.Comm, "spin")
		require.EqualValues(t, 0, task.Nice)
		require.EqualValues(t, 0, task.Kthread)
	}

	// Each task that is on a CPU is the one that the CPU's books name.
	for pid, task := range snap.TaskCtxs().All() {
		if task.OnCpu == 0 {
			continue
		}
		run := snap.ScxPerTask().CPU(int(task.LastCpu)).At(0)
		require.Equal(t, pid, run.Tid)
		require.Equal(t, task.Task, run.Task)
		require.Equal(t, task.Ctx, run.Ctx)
	}
}

// A pointer into the arena is a Go pointer, and the same object is the same
// pointer whichever way it is reached.
func TestArenaObjectsAreReachedThroughPointers(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{Scheduler: scheduler})
	workers, err := vm.Work(t.Context(), ktest.Yield, 1)
	require.NoError(t, err)
	pid := int32(workers.PIDs[0])

	snap := examplesched.Bind(t, vm.Freeze("yielding"))

	stats := snap.TaskCtxs().Get(pid).Stats
	require.Equal(t, pid, stats.Pid)
	require.NotZero(t, stats.Generation)
	require.Same(t, stats, snap.TaskStates().Get(pid).Stats)

	var runs uint64
	for _, n := range stats.RunBuckets {
		runs += n
	}
	require.Equal(t, stats.NrRuns, runs, "every run is in one bucket")
}

// A snapshot is read while the guest runs on, and two of them are compared.
func TestTallyNeverLosesADispatch(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{Scheduler: scheduler})
	_, err := vm.Work(t.Context(), ktest.Sleep, 4)
	require.NoError(t, err)

	before := examplesched.Bind(t, vm.Freeze("before")).Bss()
	for range 5 {
		now := examplesched.Bind(t, vm.Freeze("later")).Bss()
		require.GreaterOrEqual(t, now.NrEnqueued, before.NrEnqueued)
		require.GreaterOrEqual(t, now.NrEnqueued, now.NrDispatched, "more was dispatched than had been queued")
		require.GreaterOrEqual(t, int64(now.VtimeNow), int64(before.VtimeNow), "virtual time ran backwards")
		before = now
	}
}

// What only the run can tell is an error that says so, of a type of its own.
func TestWhatIsNotThereIsReportedByName(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{Scheduler: scheduler})
	snap, err := examplesched.Open(vm.Freeze("start"))
	require.NoError(t, err)

	var slot *ktsnap.PerCPUSlotError
	err = ktrt.Try(func() { snap.ScxPerTask().CPU(64) })
	require.ErrorAs(t, err, &slot)
	require.Equal(t, 2, slot.Len)

	var index *ktsnap.IndexOutOfRangeError
	err = ktrt.Try(func() { snap.ScxPerTask().CPU(1).At(2) })
	require.ErrorAs(t, err, &index)
	require.ErrorContains(t, err, "scx_per_task")

	var key *ktsnap.KeyNotFoundError
	err = ktrt.Try(func() { snap.TaskCtxs().Get(-1) })
	require.ErrorAs(t, err, &key)

	_, ok := snap.TaskCtxs().Lookup(-1)
	require.False(t, ok)
}
