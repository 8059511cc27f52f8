package vmm

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// counterAddr makes the guest count in a word of its memory, and returns the
// word's guest-physical address.
func counterAddr(t testing.TB, vm *VM) int64 {
	t.Helper()
	addr, err := strconv.ParseInt(mustAsk(t, vm, "count"), 16, 64)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return readWord(t, vm, addr) > 0 }, 10*time.Second, time.Millisecond)
	return addr
}

func readWord(t testing.TB, vm *VM, addr int64) uint64 {
	t.Helper()
	var b [8]byte
	_, err := vm.RAM().ReadAt(b[:], addr)
	require.NoError(t, err)
	return binary.LittleEndian.Uint64(b[:])
}

func TestPausedGuestStandsStillUntilResumed(t *testing.T) {
	vm := launchTest(t, testConfig(t))
	addr := counterAddr(t, vm)
	for range 20 {
		require.NoError(t, vm.Pause(t.Context()))
		status, err := vm.Status(t.Context())
		require.NoError(t, err)
		require.Equal(t, RunState("paused"), status)
		before := readWord(t, vm, addr)
		time.Sleep(5 * time.Millisecond)
		require.Equal(t, before, readWord(t, vm, addr), "the guest ran while it was paused")
		require.NoError(t, vm.Resume())
		require.Eventually(t, func() bool { return readWord(t, vm, addr) != before }, 10*time.Second, time.Millisecond)
	}
}

func TestHostAndGuestSeeTheSameMemory(t *testing.T) {
	vm := launchTest(t, testConfig(t))
	const text = "KTGEN-PLANT:needle:END"
	addr, err := strconv.ParseInt(mustAsk(t, vm, "plant %s", text), 16, 64)
	require.NoError(t, err)

	got := make([]byte, len(text))
	_, err = vm.RAM().ReadAt(got, addr)
	require.NoError(t, err)
	require.Equal(t, text, string(got))

	slice, ok := vm.RAM().Slice(addr, len(text))
	require.True(t, ok)
	require.Equal(t, text, string(slice))

	_, err = vm.RAM().WriteAt([]byte("HOST-"), addr)
	require.NoError(t, err)
	require.Equal(t, "HOST-"+text[5:], mustAsk(t, vm, "planted"))
}

func TestMemoryAboveThePCIHoleIsFound(t *testing.T) {
	cfg := cold(t)
	cfg.Memory = 4 * GiB
	vm := launchTest(t, cfg)
	// The kernel hands out high memory first.
	const text = "high"
	addr, err := strconv.ParseInt(mustAsk(t, vm, "plant %s", text), 16, 64)
	require.NoError(t, err)
	require.Greater(t, addr, int64(4*GiB), "the guest did not use memory above 4 GiB")
	got := make([]byte, len(text))
	_, err = vm.RAM().ReadAt(got, addr)
	require.NoError(t, err)
	require.Equal(t, text, string(got))
}

func TestPauseWaitsForItsTurn(t *testing.T) {
	vm := launchTest(t, testConfig(t))
	require.NoError(t, vm.Pause(t.Context()))

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, vm.Pause(ctx), context.DeadlineExceeded)

	second := make(chan error, 1)
	go func() { second <- vm.Pause(t.Context()) }()
	require.NoError(t, vm.Resume())
	require.NoError(t, <-second)
	require.NoError(t, vm.Resume())
	require.ErrorIs(t, vm.Resume(), ErrNotPaused)
	require.Equal(t, "pong", mustAsk(t, vm, "ping"))
}

func TestPauseWithADeadContextLeavesTheGuestRunning(t *testing.T) {
	vm := launchTest(t, testConfig(t))
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("enough")
	cancel(reason)
	require.ErrorIs(t, vm.Pause(ctx), reason)
	require.Equal(t, "pong", mustAsk(t, vm, "ping"))
}

func TestPauseThatIsCancelledAnywhereLeavesTheGuestRunning(t *testing.T) {
	vm := launchTest(t, testConfig(t))
	addr := counterAddr(t, vm)
	for range 100 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(800))*time.Microsecond)
		if vm.Pause(ctx) == nil {
			require.NoError(t, vm.Resume())
		}
		cancel()
	}
	before := readWord(t, vm, addr)
	require.Eventually(t, func() bool { return readWord(t, vm, addr) != before }, 10*time.Second, time.Millisecond)
}

func TestManyGoroutinesPause(t *testing.T) {
	vm := launchTest(t, testConfig(t))
	var held, worst int
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 25 {
				if err := vm.Pause(t.Context()); err != nil {
					t.Error(err)
					return
				}
				held++ // the pause is the lock
				worst = max(worst, held)
				held--
				if err := vm.Resume(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	require.Equal(t, 1, worst)
}

func TestQEMUKilledWhilePaused(t *testing.T) {
	vm := launchTest(t, testConfig(t))
	addr := counterAddr(t, vm)
	require.NoError(t, vm.Pause(t.Context()))
	slice, ok := vm.RAM().Slice(addr, 8)
	require.True(t, ok)
	require.NoError(t, syscall.Kill(vm.PID(), syscall.SIGKILL))
	<-vm.Done()
	require.NotZero(t, binary.LittleEndian.Uint64(slice), "memory is readable after the guest's death")

	var exit *ExitError
	require.ErrorAs(t, vm.Resume(), &exit)
	require.Equal(t, "signal: killed", exit.State)
	require.ErrorAs(t, vm.Pause(t.Context()), &exit)
	_, err := vm.Status(t.Context())
	require.ErrorAs(t, err, &exit)
}

func TestQEMUKilledWhilePausing(t *testing.T) {
	for range 10 {
		vm := launchTest(t, testConfig(t))
		time.AfterFunc(time.Duration(rand.IntN(3000))*time.Microsecond, func() {
			syscall.Kill(vm.PID(), syscall.SIGKILL)
		})
		var err error
		for err == nil {
			if err = vm.Pause(t.Context()); err == nil {
				err = vm.Resume()
			}
		}
		var exit *ExitError
		require.ErrorAs(t, err, &exit)
		require.NoError(t, vm.Close())
	}
}

func TestPauseOfAQEMUThatHangsEndsTheGuest(t *testing.T) {
	vm := launchTest(t, testConfig(t))
	require.NoError(t, syscall.Kill(vm.PID(), syscall.SIGSTOP))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	err := vm.Pause(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Less(t, time.Since(began), contTimeout+3*time.Second)
	var infra *InfraError
	require.ErrorAs(t, vm.Err(), &infra)
	require.ErrorContains(t, infra, "could not be resumed: qmp cont: context deadline exceeded")
}

func TestCloseWhilePausedKeepsSlicesValid(t *testing.T) {
	vm := launchTest(t, testConfig(t))
	addr := counterAddr(t, vm)
	require.NoError(t, vm.Pause(t.Context()))
	slice, ok := vm.RAM().Slice(addr, 8)
	require.True(t, ok)
	require.NoError(t, vm.Close())
	require.NotZero(t, binary.LittleEndian.Uint64(slice))
	require.ErrorIs(t, vm.Resume(), ErrClosed)
	_, ok = vm.RAM().Slice(addr, 8)
	require.False(t, ok)
	_, err := vm.RAM().ReadAt(make([]byte, 8), addr)
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorIs(t, vm.Pause(t.Context()), ErrClosed)
	require.NoError(t, vm.Close())
}
