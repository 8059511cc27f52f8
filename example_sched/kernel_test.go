package examplesched_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	examplesched "github.com/ktgen/ktgen/example_sched"
	"github.com/ktgen/ktgen/ktest"
	ktrt "github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// The scheduler keeps its tasks as integers, (u64)p. Its instructions show what
// they are, and the guest's kernel says what is there.
func TestIntegersThatHoldTasksLeadToTheTasks(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{CPUs: 2, Scheduler: scheduler})
	workers, err := vm.Work(t.Context(), ktest.Spin, 3)
	require.NoError(t, err)

	frozen := vm.Freeze("spinning")
	snap := examplesched.Bind(t, frozen)

	for pid, books := range snap.TaskCtxs().All() {
		task, err := books.Task.Lookup()
		require.NoError(t, err, "task %d", pid)
		require.Equal(t, pid, task.Pid)
		require.Same(t, task, books.Task.Deref())
		require.Equal(t, books.Nice, task.StaticPrio-120)
		require.False(t, ktrt.Absent(snap, &task.Scx.Weight))
		if books.Ctx.Weight > 0 { // 0 until the task's class is set, after a fork
			require.Equal(t, books.Ctx.Weight, task.Scx.Weight)
		}
	}
	for _, pid := range workers.PIDs {
		comm, err := vm.Agent().ReadFile(t.Context(), fmt.Sprintf("/proc/%d/comm", pid))
		require.NoError(t, err)
		require.Equal(t, strings.TrimSpace(string(comm)), snap.TaskCtxs().Get(int32(pid)).Task.Deref().Comm)
	}
	for cpu := range snap.ScxPerTask().CPUs() {
		run := snap.ScxPerTask().CPU(cpu).At(0)
		require.Equal(t, run.Tid, run.Task.Deref().Pid)
	}
	requireNoContradiction(t, frozen)
	t.Run("by path", func(t *testing.T) { requireTasksByPath(t, frozen, workers.PIDs) })
	t.Run("from a file", func(t *testing.T) {
		var file bytes.Buffer
		_, err := frozen.WriteTo(&file)
		require.NoError(t, err)
		read, err := ktsnap.Read(&file)
		require.NoError(t, err)
		requireTasksByPath(t, read, workers.PIDs)
		pid := int32(workers.PIDs[0])
		require.Equal(t, pid, examplesched.Bind(t, read).TaskCtxs().Get(pid).Task.Deref().Pid)
	})
	t.Run("what is not a task", func(t *testing.T) {
		_, err := ktrt.PtrTo[examplesched.TaskStruct](0).Lookup()
		require.ErrorAs(t, err, new(*ktsnap.NullError))
	})
}

// requireTasksByPath reads the same without generated code.
func requireTasksByPath(t *testing.T, snap *ktsnap.Snapshot, pids []int) {
	t.Helper()
	for _, pid := range pids {
		entry := snap.Map("task_ctxs").Lookup(pid)
		got, err := entry.Get("task.pid").Int64()
		require.NoError(t, err)
		require.EqualValues(t, pid, got)
		parent, err := entry.Get("task.real_parent").Uint64()
		require.NoError(t, err)
		require.NotZero(t, parent, "what is generated is not all there is")
		comm, err := entry.Get("task.comm").Str()
		require.NoError(t, err)
		require.Contains(t, comm, "spin")

		task := entry.Get("task")
		require.Equal(t, "cast→kernel", task.Annotation())
		addr, err := task.Uint64()
		require.NoError(t, err)
		require.Equal(t, task.Deref().Addr(), addr, "still readable as the integer that it is")
	}
}

// requireNoContradiction fails if the kernel says of any target that it is
// something else. The task that a CPU ran before the last one can be gone.
func requireNoContradiction(t *testing.T, snap *ktsnap.Snapshot) {
	t.Helper()
	require.NotEmpty(t, snap.Kernel)
	past := make(map[uint64]bool)
	for cpu := range snap.Guest.CPUs {
		addr, err := snap.Map("scx_per_task").CPU(cpu).At(1).Get("task").Uint64()
		require.NoError(t, err)
		past[addr] = true
	}
	for _, o := range snap.Kernel {
		if !past[o.Addr] {
			require.Equal(t, ktsnap.FaultNone, o.Fault, "%s at %#x: %s", o.Name, o.Addr, o.Reason)
		}
	}
}
