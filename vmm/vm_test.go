package vmm

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

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

func TestKASLRMovesTheKernel(t *testing.T) {
	cfg := cold(t)
	image, err := needVM(t).Randomized()
	if err != nil {
		t.Skip(err)
	}
	cfg.Kernel = image.Path
	const linked = "ffffffff81000000"
	texts := make(map[string]bool)
	for range 2 {
		vm := launchTest(t, cfg)
		texts[mustAsk(t, vm, "symbol _text")] = true
		require.NoError(t, vm.Close())
	}
	t.Log(texts)
	require.True(t, len(texts) == 2 || !texts[linked], "the kernel is where it was linked to be: %v", texts)
}

func TestGuestHasWhatWasAskedFor(t *testing.T) {
	cfg := testConfig(t)
	cfg.CPUs = 4
	cfg.Memory = 768 * MiB
	cfg.Args = []string{"ktgen.test=1"}
	vm := launchTest(t, cfg)
	require.Equal(t, "4", mustAsk(t, vm, "cpus"))
	require.Equal(t, "console=ttyS0 panic=-1 oops=panic no_timer_check cryptomgr.notests ktgen.test=1", mustAsk(t, vm, "read /proc/cmdline"))
	total, err := strconv.ParseInt(mustAsk(t, vm, "memory"), 10, 64)
	require.NoError(t, err)
	require.Greater(t, total, int64(600*MiB))
	require.LessOrEqual(t, total, int64(768*MiB))
}

func TestGuestsAtOnceShareNothing(t *testing.T) {
	cfg := testConfig(t)
	vms := make([]*VM, 4)
	for i := range vms {
		vms[i] = launchTest(t, cfg)
	}
	addrs := make([]int64, len(vms))
	for i, vm := range vms {
		addr, err := strconv.ParseInt(mustAsk(t, vm, "plant guest %d", i), 16, 64)
		require.NoError(t, err)
		addrs[i] = addr
	}
	require.NoError(t, vms[0].Pause(t.Context()))
	for i, vm := range vms {
		got := make([]byte, 7)
		_, err := vm.RAM().ReadAt(got, addrs[i])
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("guest %d", i), string(got))
		if i > 0 {
			require.Equal(t, "pong", mustAsk(t, vm, "ping"), "another guest's pause stops this one")
		}
	}
	require.NoError(t, vms[0].Resume())
	require.NoError(t, vms[1].Close())
	require.Equal(t, "pong", mustAsk(t, vms[0], "ping"))
}

func TestRegistersOfAPausedGuest(t *testing.T) {
	vm := launchTest(t, testConfig(t))
	require.NoError(t, vm.Pause(t.Context()))
	defer vm.Resume()
	for cpu := range DefaultCPUs {
		regs, err := vm.Registers(t.Context(), cpu)
		require.NoError(t, err)
		require.NotZero(t, regs.CR3)
		require.NotZero(t, regs.CR0&(1<<31), "paging is on")
		require.NotZero(t, regs.EFER&(1<<10), "long mode is active")
	}
	_, err := vm.Registers(t.Context(), 7)
	require.ErrorContains(t, err, "reading the registers of vCPU 7: ")
}

func TestRestoredGuestRemembersItsBoot(t *testing.T) {
	cfg := private(t)
	first := launchTest(t, cfg)
	require.NoError(t, first.Close())
	vm := launchTest(t, cfg)
	require.True(t, vm.Origin().Restored)
	require.Contains(t, string(vm.Console()), "Linux version")
}

func TestPortNeverLosesAMessage(t *testing.T) {
	vm := launchTest(t, testConfig(t))
	for i := range 500 {
		want := fmt.Sprintf("message %d", i)
		require.Equal(t, want, mustAsk(t, vm, "echo %s", want))
		if i%3 == 0 {
			time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond) // the guest goes idle
		}
		if i%50 == 0 {
			require.NoError(t, vm.Pause(t.Context()))
			require.NoError(t, vm.Resume())
		}
	}
}
