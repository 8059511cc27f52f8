package ktest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
)

// While all vCPUs are in user mode none of them has the kernel's memory mapped, if the kernel isolates its
// page tables as it does on Intel's CPUs, which guests with a topology have.
func TestPlacesAreWatchedWhileAllCPUsAreInUserMode(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{Topology: ktest.Topology{Cores: 2}})
	_, err := vm.Work(t.Context(), ktest.Spin, 4)
	require.NoError(t, err)
	for range 100 {
		w, err := vm.Watch(t.Context(), ktest.Symbol("panic_timeout", 4), ktest.WatchOptions{})
		require.NoError(t, err)
		require.NoError(t, vm.Hold(t.Context(), 5*time.Millisecond))
		require.NoError(t, w.Err())
		require.NoError(t, w.Close())
	}
}
