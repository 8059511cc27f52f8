package examplesched_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	examplesched "github.com/ktgen/ktgen/example_sched"
	"github.com/ktgen/ktgen/ktest"
)

// A scheduler is tested with each of the values that its own program would set, here
// without such a program.
func TestTheSchedulerGoesByWhatItStartsWith(t *testing.T) {
	for name, c := range map[string]struct {
		configure func(*examplesched.Fixture)
		check     func(*testing.T, examplesched.Snap)
	}{
		"long slices": {
			configure: func(c *examplesched.Fixture) { c.Rodata.SliceMinNs = 30_000_000 },
			check: func(t *testing.T, s examplesched.Snap) {
				require.EqualValues(t, 30_000_000, s.Rodata().SliceMinNs)
				require.Less(t, s.Data().SliceNs, s.Rodata().SliceMinNs, "the object's own value stays")
			},
		},
		"no kernel threads": {
			configure: func(c *examplesched.Fixture) { c.Rodata.AccountKthreads = false },
			check: func(t *testing.T, s examplesched.Snap) {
				require.NotZero(t, s.TaskCtxs().Len())
				for pid, task := range s.TaskCtxs().All() {
					require.Zero(t, task.Kthread, "pid %d (%s)", pid, task.Comm)
				}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := ktest.Object("bpf/sched.bpf.o").Configure(examplesched.Initial(c.configure))
			vm := ktest.Boot(t, ktest.Config{CPUs: 2, Scheduler: s})
			_, err := vm.Work(t.Context(), ktest.Spin, 2)
			require.NoError(t, err)
			c.check(t, examplesched.Bind(t, vm.Freeze("configured")))
		})
	}
}
