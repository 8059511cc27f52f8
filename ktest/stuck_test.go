package ktest_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/vmm"
)

// patch writes instructions over a function of the guest's kernel, which must not have run.
func patch(t *testing.T, vm *ktest.VM, function string, code ...byte) {
	t.Helper()
	symbols, err := vm.ReadFile(t.Context(), "/proc/kallsyms")
	require.NoError(t, err)
	placed := map[string]uint64{}
	for line := range strings.Lines(string(symbols)) {
		if f := strings.Fields(line); f[2] == "_text" || f[2] == function {
			placed[f[2]], err = strconv.ParseUint(f[0], 16, 64)
			require.NoError(t, err)
		}
	}
	require.Len(t, placed, 2)
	memory, err := vm.ReadFile(t.Context(), "/proc/iomem")
	require.NoError(t, err)
	var text int64
	for line := range strings.Lines(string(memory)) {
		if from, ok := strings.CutSuffix(strings.TrimSpace(line), " : Kernel code"); ok {
			_, err := fmt.Sscanf(from, "%x-", &text)
			require.NoError(t, err)
		}
	}
	require.NotZero(t, text)
	_, err = vm.Machine().RAM().WriteAt(code, text+int64(placed[function]-placed["_text"]))
	require.NoError(t, err)
}

// A guest that loops where nothing can interrupt it, or whose CPU has no way to report a
// fault, ends the call that waits for it, which says so.
func TestGuestsThatNeverCallAgainAreTold(t *testing.T) {
	run := func(t *testing.T, cpus int, seed uint64, within time.Duration, code ...byte) (*ktest.VM, error) {
		vm := ktest.Boot(t, ktest.Config{
			CPUs: cpus, Seed: seed, Scheduler: fault("docile"), ExpectExit: true,
			Timeouts: ktest.Timeouts{Call: 10 * time.Second, Close: time.Second},
		})
		patch(t, vm, "sysrq_handle_showmem", code...) // of "m"
		return vm, vm.WriteFile(bound(t, within), "/proc/sysrq-trigger", []byte("m"), 0)
	}
	t.Run("loops", func(t *testing.T) {
		stuck := (*vmm.StuckError)(nil)
		vm, err := run(t, 1, 7, time.Minute, 0xfa, 0xeb, 0xfe) // cli; jmp .
		require.ErrorAs(t, err, &stuck)
		_, err = vm.TryFreeze(t.Context(), "after")
		require.ErrorAs(t, err, &stuck)
		_, err = vm.ReadFile(t.Context(), "/proc/uptime")
		require.ErrorAs(t, err, &stuck)
	})
	t.Run("loops, without a seed", func(t *testing.T) {
		vm, err := run(t, 2, 0, 3*time.Second, 0xfa, 0xeb, 0xfe)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_, err = vm.TryFreeze(t.Context(), "after")
		require.NoError(t, err)
	})
	for _, seed := range []uint64{0, 7} {
		t.Run(fmt.Sprintf("triple fault, seed %d", seed), func(t *testing.T) {
			_, err := run(t, 2, seed, time.Minute, 0x0f, 0x01, 0x1d, 2, 0, 0, 0, 0x0f, 0x0b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0) // lidt 2(%rip); ud2; zeros
			require.ErrorIs(t, err, vmm.ErrReset)
		})
	}
}
