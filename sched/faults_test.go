package sched_test

import (
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/scenario"
	"github.com/ktgen/ktgen/sched"
)

// Each fault is switched on while workers run, and an autopsy names it in its first line.
func TestAutopsyNamesTheFault(t *testing.T) {
	const lead = `^\S+\[\d+\] has been runnable for \S+ of 30s without running: `
	for name, row := range map[string]struct {
		fault   uint64
		cpus    []int // that workers may run on; nil is all
		workers int
		want    string
		offline []int // CPUs
	}{
		"a queue that nobody drains":        {1, nil, 3, `queue FORGOTTEN_DSQ \(1\) has it .*idle, which may run it.*(nobody takes|do not take) from this queue`, nil},
		"a wakeup that is lost":             {2, nil, 2, `the BPF scheduler has taken it in ops\.enqueue and not dispatched it; CPU 0 .*, CPU 1 `, nil},
		"a queue that one CPU drains":       {3, []int{1}, 2, `queue FIRST_CPU_DSQ \(2\) has it .*, and CPU 1 is idle, which may run it: nobody takes from this queue`, nil},
		"a slice that never ends":           {4, []int{1}, 2, `queue SHARED_DSQ \(0\) has it .*CPU 1 runs spin\S*\[\d+\], whose slice has no end`, nil},
		"a vtime out of reach":              {5, []int{1}, 3, `queue VTIME_DSQ \(3\) has it behind 1: spin\S*\[\d+\]; its vtime of 4611686018427387904 is out of reach of theirs, which begins at 7`, nil},
		"one CPU's own queue":               {6, nil, 3, `.*CPU 1 runs spin\S*\[\d+\], whose slice has no end`, nil},
		"a queue for a CPU that is offline": {7, nil, 2, `queue SECOND_CPU_DSQ \(4\) has it .*CPU 0 is idle, which may run it: nobody takes from this queue; CPU 1, which the queue may be for, is offline`, []int{1}},
	} {
		t.Run(name, func(t *testing.T) {
			vm := ktest.Boot(t, ktest.Config{CPUs: 2, Topology: ktest.Topology{Offline: row.offline}, Scheduler: ktest.Object("testdata/faults.bpf.o")})
			ctx := bound(t, time.Minute)
			workers, err := vm.Spawn(ctx, scenario.Workers{Name: "spin", Kind: scenario.Spin, Count: row.workers, CPUs: row.cpus})
			require.NoError(t, err)
			snap := vm.Freeze("well")
			require.NoError(t, vm.Write(ctx, ktest.SetOf(snap.Var("victim"), uint64(workers.PIDs[0])), ktest.SetOf(snap.Var("fault"), row.fault)))
			for {
				snap, err := vm.TryFreeze(ctx, "ill")
				require.NoError(t, err)
				starving := sched.Bind(t, snap).StarvingFor(time.Second)
				if len(starving) == 0 || starving[0].For < 2*time.Second {
					continue
				}
				said := starving[0].String()
				require.Regexp(t, lead, said)
				// What the CPUs do instead, and what is in front, is that of the moment.
				if regexp.MustCompile(lead + row.want).MatchString(said) {
					return
				}
				if starving[0].For > 10*time.Second {
					require.Regexp(t, lead+row.want, said)
				}
			}
		})
	}
}
