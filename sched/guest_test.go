package sched_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/sched"
)

//go:generate testdata/build

func TestMain(m *testing.M) {
	if n, err := strconv.Atoi(os.Getenv(threadsEnv)); err == nil {
		sleepInThreads(n)
		return
	}
	if os.Getenv(fightEnv) != "" {
		fightForAFile()
		return
	}
	ktest.Main(m)
}

func bound(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// vtimeDSQ is VTIME_DSQ of testdata/queues.bpf.c.
const vtimeDSQ = 0x100000001

// parked boots a guest with a scheduler that holds workers back in its queues, and
// returns it with a snapshot that has all of them there.
func parked(t *testing.T, workers int) (*ktest.VM, *ktsnap.Snapshot, []int) {
	vm := ktest.Boot(t, ktest.Config{CPUs: 2, Scheduler: ktest.Object("testdata/queues.bpf.o")})
	w, err := vm.Work(bound(t, time.Minute), ktest.Spin, workers)
	require.NoError(t, err)
	ctx := bound(t, time.Minute)
	require.NoError(t, vm.Write(ctx, ktest.SetOf(vm.Freeze("running").Var("parked"), 1)))
	for {
		snap, err := vm.TryFreeze(ctx, "parked")
		require.NoError(t, err)
		s := sched.Bind(t, snap)
		if s.DSQCalled("FIFO_DSQ").Len()+s.DSQ(vtimeDSQ).Len() == workers {
			return vm, snap, w.PIDs
		}
	}
}

func TestTasksAreReadInTheOrderOfTheirQueue(t *testing.T) {
	_, snap, pids := parked(t, 6)
	s := sched.Bind(t, snap)
	require.Empty(t, s.Absent())
	require.Empty(t, s.Problems())

	fifo, vtime := s.DSQCalled("FIFO_DSQ"), s.DSQ(vtimeDSQ)
	require.Equal(t, "queue VTIME_DSQ (0x100000001)", vtime.Name())
	for _, task := range s.DSQCalled("SHARED_DSQ").Tasks() {
		require.NotContains(t, pids, task.PID) // tasks of the guest's own may be there
	}
	var waiting []int
	for _, d := range []*sched.DSQ{fifo, vtime} {
		require.Equal(t, d.Count, d.Len())
		for i, task := range d.Tasks() {
			waiting = append(waiting, task.PID)
			requireWaiting(t, s, d, i, task)
		}
	}
	require.ElementsMatch(t, pids, waiting)
	for i := 1; i < fifo.Len(); i++ {
		require.Less(t, fifo.Tasks()[i-1].Ext.DSQSeq, fifo.Tasks()[i].Ext.DSQSeq)
	}
	for i, task := range vtime.Tasks() {
		require.EqualValues(t, 1_000_000-task.PID, task.Ext.VTime)
		require.True(t, i == 0 || vtime.Tasks()[i-1].PID > task.PID)
	}

	scheduler := s.Scheduler()
	require.Equal(t, "queues", scheduler.Name)
	require.Equal(t, 30*time.Second, scheduler.Timeout)
	require.Equal(t, "NONE", scheduler.ExitKind)
	require.Len(t, scheduler.Counters(), 2)
	require.Equal(t, []*sched.Scheduler{scheduler}, s.Schedulers())
	require.True(t, s.SwitchedAll)
}

// requireWaiting holds a worker to be in a queue, and nowhere else.
func requireWaiting(t *testing.T, s *sched.State, d *sched.DSQ, i int, task *sched.Task) {
	require.Same(t, task, s.Task(task.PID))
	require.Same(t, d, task.DSQ())
	ahead, ok := d.Position(task)
	require.True(t, ok)
	require.Equal(t, i, ahead)
	require.Equal(t, d.Addr, task.Ext.Queue)
	require.Equal(t, sched.ClassExt, task.Class)
	require.Equal(t, "ENABLED", task.Ext.State)
	require.Equal(t, 5*time.Millisecond, task.Ext.Slice)
	require.True(t, task.IsWaiting())
	require.True(t, task.Ext.RunnableList)
	require.False(t, task.OnCPU)
	require.Equal(t, "0-1", task.Allowed.String())
	require.Regexp(t, `^spin-\d$`, task.Comm)
	require.Equal(t, s.Since(task.Ext.RunnableAt), task.RunnableFor())
	require.EqualValues(t, 250, s.Hz)
}

func TestCPUsAreReadWithWhatTheyRun(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{CPUs: 2, Scheduler: ktest.Object("testdata/queues.bpf.o")})
	s := sched.Bind(t, vm.Freeze("idle"))
	for _, cpu := range s.CPUs() {
		require.True(t, cpu.Online)
		require.NotNil(t, cpu.Local())
		require.Equal(t, fmt.Sprintf("local queue of CPU %d", cpu.ID), cpu.Local().Name())
		require.Same(t, cpu.Local(), s.DSQ(0xc000000000000000|uint64(cpu.ID)))
		require.NotNil(t, cpu.Current())
		require.Equal(t, cpu.Current().IsIdle(), cpu.IsIdle())
		require.True(t, cpu.Current().IsCurrent())
		require.Equal(t, cpu.ID, cpu.Current().CPU)
	}
	require.Equal(t, "global queue", s.DSQ(0x8000000000000001).Name())

	minute := bound(t, time.Minute)
	workers, err := vm.Work(minute, ktest.Spin, 4)
	require.NoError(t, err)
	runnable := func() bool {
		s = sched.Bind(t, vm.Freeze("busy"))
		return !slices.ContainsFunc(workers.PIDs, func(pid int) bool { return !s.Task(pid).IsRunnable() })
	}
	for !runnable() { // the worker has said that it begins
		require.NoError(t, vm.Hold(minute, 10*time.Millisecond))
	}
	on := make(map[*sched.DSQ]bool)
	for _, pid := range workers.PIDs {
		task := s.Task(pid)
		require.True(t, task.IsRunnable(), "a task that spins is runnable")
		require.Equal(t, task.IsCurrent(), task == s.CPU(task.CPU).Current())
		if task.IsWaiting() && task.DSQ() != nil {
			on[task.DSQ()] = true
			require.Contains(t, task.DSQ().Tasks(), task)
		}
	}
	require.NotEmpty(t, on, "two CPUs cannot run four tasks")
}

func TestStateSurvivesFiles(t *testing.T) {
	_, snap, _ := parked(t, 3)
	path := filepath.Join(t.TempDir(), "a.ktsnap")
	require.NoError(t, snap.WriteFile(path))
	read, err := ktsnap.ReadFile(path)
	require.NoError(t, err)
	want, got := sched.Bind(t, snap), sched.Bind(t, read)
	require.Len(t, got.Tasks(), len(want.Tasks()))
	for i, task := range want.Tasks() {
		require.Equal(t, task.String(), got.Tasks()[i].String())
		require.Equal(t, task.Ext, got.Tasks()[i].Ext)
	}
	require.Equal(t, want.DSQCalled("FIFO_DSQ").Len(), got.DSQCalled("FIFO_DSQ").Len())
}
