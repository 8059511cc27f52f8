package ktest_test

import (
	"context"
	"fmt"
	"time"

	examplesched "github.com/ktgen/ktgen/example_sched"
	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/scenario"
	"github.com/ktgen/ktgen/series"
)

// A scenario and what is asserted of it are tried out without a guest, on
// snapshots that are made by hand: in the second one the counter has gone back.
func ExampleRehearse() {
	steps := scenario.Scenario{Steps: []scenario.Step{
		{Name: "idle", Ops: []scenario.Op{scenario.Capture{Name: "before"}}, Hold: time.Second},
		{Name: "load", Cgroups: []scenario.Cgroup{{Name: "box", Workers: 2}}, Ops: []scenario.Op{scenario.Capture{Name: "after"}}},
	}}
	dispatched := map[string]uint64{"before": 7, "after": 5}
	report, captures, err := ktest.Rehearse(context.Background(), scenario.Machine{CPUs: 2}, steps,
		func(name string) (*ktsnap.Snapshot, error) {
			snap, err := examplesched.Fixture{Bss: examplesched.Bss{NrDispatched: dispatched[name]}}.Open()
			return snap.Binding().Snapshot(), err
		})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer captures.Close()
	for _, c := range captures.Captures() {
		fmt.Println(c.Moment)
	}
	fmt.Println(report.Workers[0].Name, report.Workers[0].Cgroup)
	samples := series.Open(captures.Captures(), examplesched.Open)
	fmt.Println(series.NonDecreasing(series.Of(samples, func(s examplesched.Snap) uint64 { return s.Bss().NrDispatched })).Outcome)
	// Output:
	// before (+0s, step 1 "idle")
	// after (+1s, step 2 "load")
	// box-0 box
	// fail
}

// A table of what a scheduler starts with. What cannot be is told without a guest.
func ExampleScheduler_Configure() {
	scheduler := ktest.Object("../example_sched/bpf/sched.bpf.o")
	for _, config := range []struct {
		name      string
		configure func(*examplesched.Fixture)
	}{
		{"as it is", func(*examplesched.Fixture) {}},
		{"long slices", func(c *examplesched.Fixture) { c.Data.SliceNs = 10 * c.Rodata.SliceMinNs }},
		{"one task", func(c *examplesched.Fixture) {
			c.TaskCtxs = map[int32]*examplesched.TaskCtx{1: {}, 2: {}}
			c.MaxEntries.TaskCtxs = 1
		}},
	} {
		fmt.Printf("%s: %v\n", config.name, scheduler.Configure(examplesched.Initial(config.configure)).Check())
	}
	// Output:
	// as it is: <nil>
	// long slices: <nil>
	// one task: configure ../example_sched/bpf/sched.bpf.o: cannot set initial values of the object: task_ctxs: it is given 2 entries, and has room for 1: make it larger, or give fewer
}
