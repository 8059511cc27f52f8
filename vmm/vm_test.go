package vmm

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBootAnswers(t *testing.T) {
	vm := launchTest(t, cold(t))
	require.False(t, vm.Origin().Restored)
	require.Equal(t, "pong", mustAsk(t, vm, "ping"))
	t.Logf("%+v", vm.Timing())
}

func TestRestoreAnswers(t *testing.T) {
	cfg := private(t)
	for i := range 4 {
		vm := launchTest(t, cfg)
		t.Logf("%v %+v", vm.Origin(), vm.Timing())
		require.Equal(t, i > 0, vm.Origin().Restored)
		require.Empty(t, vm.Origin().Note)
		require.Equal(t, "state of the guest", string(vm.State()))
		require.Equal(t, "pong", mustAsk(t, vm, "ping"))
		require.NoError(t, vm.Close())
	}
}

func TestAutoAcceleratorBootsAndIsRemembered(t *testing.T) {
	cfg := private(t)
	cfg.Accel = AccelAuto
	for range 2 {
		vm := launchTest(t, cfg)
		t.Logf("%v, %v, %+v", vm.Accel(), vm.Origin(), vm.Timing())
		require.Equal(t, "pong", mustAsk(t, vm, "ping"))
		require.NoError(t, vm.Close())
	}
}
