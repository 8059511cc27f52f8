package public_test

import (
	"context"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// A scheduler that its own program starts again, as it does when CPUs come and go, is
// followed: its end is not the end, and captures show the instance that is there.
func TestSchedulersThatRestartThemselvesAreFollowed(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{CPUs: 2, Scheduler: ktest.Binary(filepath.Join(programs(t, "scx_simple"), "scx_simple"), "-f")})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	first := vm.Freeze("first")
	require.Equal(t, 1, first.Scheduler.Instance)
	require.Empty(t, vm.Restarts())

	for i, online := range []string{"0", "1"} {
		require.NoError(t, vm.WriteFile(ctx, "/sys/devices/system/cpu/cpu1/online", []byte(online), 0))
		require.NoError(t, vm.AwaitInstance(ctx, i+2))
		require.Len(t, vm.Restarts(), i+1)
		require.Equal(t, ktest.ExitUnregKern, vm.Restarts()[i].Kind)
		snap := vm.Freeze("again")
		require.Equal(t, i+2, snap.Scheduler.Instance)
		require.Equal(t, "enabled", snap.Scheduler.State)
		fifo, err := snap.Var("fifo_sched").Bool()
		require.NoError(t, err, "there are no maps of the instance before")
		require.True(t, fifo)
		require.NotEqual(t, rodata(first), rodata(snap), "the id of the map")
	}
	select {
	case <-vm.Exited():
		t.Fatal("the scheduler runs, and vm.Exited is closed")
	default:
	}
	exit, err := vm.Detach(ctx)
	require.NoError(t, err)
	require.Equal(t, ktest.ExitUnreg, exit.Kind)
	require.Zero(t, *exit.Process)
}

func rodata(snap *ktsnap.Snapshot) uint32 {
	i := slices.IndexFunc(snap.Maps, func(m *ktsnap.Map) bool { return m.IsSection(".rodata") })
	return snap.Maps[i].ID
}
