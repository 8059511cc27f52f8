package ktest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/series"
)

// requireState checks that a capture has the scheduler's globals.
func requireState(t *testing.T, c series.Capture, of string) {
	t.Helper()
	require.Equal(t, series.Event, c.Trigger)
	require.NoError(t, c.NoSnapshot)
	snap, err := c.Read()
	require.NoError(t, err)
	var names []string
	for _, m := range snap.Maps {
		names = append(names, m.Name)
		if m.Type == ktsnap.MapTypeStructOps && m.Name == of {
			require.Equal(t, ktsnap.Complete, m.Status, m.Reason)
			return
		}
	}
	t.Fatalf("snapshot %q has no struct_ops map %q: %q", c.Name, of, names)
}

func TestSchedulerThatEndsByItselfIsCapturedWithItsMaps(t *testing.T) {
	for name, cfg := range map[string]ktest.Config{
		"object":  {Scheduler: fault("error")},
		"program": {Scheduler: program(), Files: withObject("error")},
	} {
		t.Run(name, func(t *testing.T) {
			cfg.ExpectExit = true
			vm := ktest.Boot(t, cfg)
			_, err := vm.Captures().Get(ktest.SchedulerExit)
			require.Error(t, err, "it runs")
			_, err = vm.Work(t.Context(), ktest.Spin, 1)
			require.NoError(t, err)

			c, err := vm.Captures().Await(bound(t, time.Minute), ktest.SchedulerExit)
			require.NoError(t, err)
			requireState(t, c, "fault_ops")
		})
	}
}

func TestSchedulerThatIsDetachedIsNotCaptured(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{Scheduler: fault("docile")})
	_, err := vm.Detach(t.Context())
	require.NoError(t, err)
	after, err := vm.TryFreeze(t.Context(), "after")
	require.NoError(t, err)
	for _, m := range after.Maps {
		require.NotEqual(t, ktsnap.MapTypeStructOps, m.Type, "the maps of a scheduler that was told to end are gone")
	}
	require.Equal(t, 1, vm.Captures().Len())
}

func TestGuestThatPanicsIsCapturedAfterItsDeath(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{Scheduler: fault("docile"), ExpectExit: true})
	require.Error(t, vm.WriteFile(bound(t, time.Minute), "/proc/sysrq-trigger", []byte("c"), 0))
	c, err := vm.Captures().Await(bound(t, time.Minute), ktest.GuestPanic)
	require.NoError(t, err)
	requireState(t, c, "fault_ops")
}
