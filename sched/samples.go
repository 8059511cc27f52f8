package sched

import (
	"fmt"

	"github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/series"
)

// Samples reads the states of captures, for the patterns of package series:
//
//	samples := sched.Samples(vm.Captures().Captures())
//	waiting := series.Of(samples, func(s *sched.State) int { return s.DSQ(sharedDSQ).Len() })
//	series.Each(waiting).AtMost(8).Require(t)
//
// A read that fails, as of a queue that is not there yet, is an error of that sample only.
func Samples(captures []series.Capture) []series.Sample[*State] {
	return series.Open(captures, func(snap *ktsnap.Snapshot, _ ...runtime.Option) (*State, error) {
		s, err := Open(snap)
		if err == nil {
			s.tb = failedRead{}
		}
		return s, err
	})
}

// failedRead makes failed reads those of snapshots, which package series makes errors of.
type failedRead struct{ runtime.TB }

func (failedRead) Fatal(args ...any) {
	err, ok := args[0].(*Error)
	if !ok {
		panic(fmt.Sprint(args...))
	}
	panic(&ktsnap.Error{Op: err.Op, Err: err})
}

// QueueLengths is how many tasks each dispatch queue has, by its name.
func QueueLengths(samples []series.Sample[*State]) series.Entities[string, int] {
	return series.PerKey(samples, func(s *State, add func(string, int)) {
		seen := make(map[string]bool) // schedulers below one can have queues of the same id
		for _, d := range s.DSQs() {
			if name := d.Name(); !seen[name] {
				seen[name] = true
				add(name, d.Len())
			}
		}
	}).Named("tasks in queues")
}

// RunnableTasks is how many tasks of all classes each CPU runs and has waiting
// (nr_running of its struct rq), by its number.
func RunnableTasks(samples []series.Sample[*State]) series.Entities[int, int] {
	return series.PerKey(samples, func(s *State, add func(int, int)) {
		for _, c := range s.CPUs() {
			if c.Online {
				add(c.ID, c.NrRunning)
			}
		}
	}).Named("runnable tasks of CPUs")
}

// ProgramRuns is how often each BPF program has run, by its name and id. It is counted
// while the kernel's statistics are on.
func ProgramRuns(samples []series.Sample[*State]) series.Entities[string, uint64] {
	return series.PerKey(samples, func(s *State, add func(string, uint64)) {
		for _, p := range s.Programs() {
			add(fmt.Sprintf("%s (%d)", p.Name, p.ID), p.Runs)
		}
	}).Named("runs of programs")
}
