package ktest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

func TestSnapshotsSayInWhichStateTheSchedulerWas(t *testing.T) {
	asObjectAndProgram(t, "error", func(t *testing.T, vm *ktest.VM) {
		snap, err := vm.TryFreeze(t.Context(), "enabled")
		require.NoError(t, err)
		require.Equal(t, ktsnap.Scheduler{State: "enabled", Name: "fault", Instance: 1}, snap.Scheduler)
		_, err = vm.Work(bound(t, time.Minute), ktest.Spin, 1)
		require.NoError(t, err)
		<-vm.Exited()
		ended := ktsnap.Scheduler{State: "disabled", Name: "fault", Reason: "scx_bpf_error", Message: "the fault was asked for", Instance: 1}
		snap, err = vm.TryFreeze(t.Context(), "ended")
		require.NoError(t, err)
		require.Equal(t, ended, snap.Scheduler)
		c, err := vm.Captures().Await(bound(t, time.Minute), ktest.SchedulerExit)
		require.NoError(t, err)
		snap, err = c.Read()
		require.NoError(t, err)
		require.Equal(t, ended, snap.Scheduler)
	})
}

func TestSnapshotsOfAGuestWithoutASchedulerSaySo(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{})
	require.Equal(t, ktsnap.Scheduler{State: "disabled"}, vm.Freeze("none").Scheduler)
	require.NoError(t, vm.Attach(bound(t, time.Minute), fault("docile")))
	_, err := vm.Detach(bound(t, time.Minute))
	require.NoError(t, err)
	require.Equal(t, ktsnap.Scheduler{State: "disabled", Name: "fault", Reason: "unregistered from user space", Instance: 1}, vm.Freeze("detached").Scheduler)
}
