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
