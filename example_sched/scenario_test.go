package examplesched_test

import (
	"testing"
	"time"

	examplesched "github.com/ktgen/ktgen/example_sched"
	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/scenario"
	"github.com/stretchr/testify/require"
)

// A scenario says what happens in the guest, step by step, and captures are
// taken on the way. Its report says what the tasks have felt of the scheduler.
func TestNiceTasksWeighLessAndFrozenOnesDoNotRun(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{CPUs: 2, Scheduler: scheduler})

	report := vm.Run(
		scenario.Step{
			Name: "load",
			Cgroups: []scenario.Cgroup{{Name: "box", Load: []scenario.Workers{
				{Name: "greedy", Kind: scenario.Spin, Count: 2},
				{Name: "modest", Kind: scenario.Spin, Count: 2, Nice: 10},
			}}},
			Until: &scenario.Condition{
				What: "every CPU has been given 20 tasks", Within: time.Minute,
				Snapshot: scenario.Seen(examplesched.Open, func(s examplesched.Snap) bool { return s.Bss().NrDispatched >= 40 }),
			},
		},
		scenario.Step{
			Name: "frozen",
			Ops:  []scenario.Op{scenario.Capture{Name: "loaded"}, scenario.FreezeCgroup{Cgroup: "box"}},
			Hold: 100 * time.Millisecond,
		},
	)

	snapshot, err := vm.Captures().Snapshot("loaded")
	require.NoError(t, err)
	tasks := examplesched.Bind(t, snapshot).TaskStates()
	for _, worker := range report.Workers {
		weight := map[string]uint32{"greedy": 100, "modest": 11}[worker.Workers] // nice 10 is a weight of 110 in 1024
		require.EqualValues(t, weight, tasks.Get(int32(worker.PID)).Weight, worker.Name)
	}

	require.Len(t, report.Steps[1].Workers, 4)
	for _, worker := range report.Steps[1].Workers {
		require.GreaterOrEqual(t, worker.LongestGap, 100*time.Millisecond, worker.Name)
	}
}
