package sched_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/scenario"
	"github.com/ktgen/ktgen/sched"
)

// Snapshots while schedulers are enabled and disabled, and tasks begin and end, contradict
// themselves in nothing.
func TestStateIsWellFormedAmidChanges(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{CPUs: 2})
	ctx := bound(t, 2*time.Minute)
	_, err := vm.Spawn(ctx, scenario.Workers{Name: "forks", Kind: scenario.ForkExit, Count: 2})
	require.NoError(t, err)
	changed := make(chan error, 1)
	go func() {
		var err error
		for range 3 {
			if err == nil {
				err = vm.Attach(ctx, ktest.Object("testdata/queues.bpf.o"))
			}
			if err == nil {
				_, err = vm.Detach(ctx)
			}
		}
		changed <- err
	}()
	var snaps []*ktsnap.Snapshot
	states := make(map[string]int)
	for done := false; !done; {
		select {
		case err := <-changed:
			require.NoError(t, err)
			done = true
		default:
		}
		snap, err := vm.TryFreeze(ctx, "amid")
		require.NoError(t, err)
		s := sched.Bind(t, snap)
		require.Empty(t, s.Problems())
		require.NotEmpty(t, s.Tasks())
		snaps = append(snaps, snap)
		states[s.Enabled.State]++
	}
	require.NoError(t, sched.Check(snaps...))
	require.Greater(t, len(states), 1, "%v", states)
	t.Log(states)
}
