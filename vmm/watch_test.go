package vmm

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/vmm/gdb"
)

const textMapping = 0xffffffff80000000 // __START_KERNEL_map

// panicTimeout is a kernel variable that the guest writes through a file, and
// its guest-physical address. The kernel is loaded without KASLR.
func panicTimeout(t testing.TB, vm *VM) (addr uint64, phys int64) {
	t.Helper()
	addr, err := strconv.ParseUint(mustAsk(t, vm, "symbol panic_timeout"), 16, 64)
	require.NoError(t, err)
	return addr, int64(addr - textMapping)
}

// kernelImage reads variables of a kernel that is loaded without KASLR.
func kernelImage(vm *VM) Memory {
	return Memory{Read: func(addr uint64, p []byte) error {
		_, err := vm.RAM().ReadAt(p, int64(addr-textMapping))
		return err
	}}
}

const panicFile = "/proc/sys/kernel/panic"

func readInt32(t testing.TB, vm *VM, phys int64) int32 {
	t.Helper()
	var b [4]byte
	_, err := vm.RAM().ReadAt(b[:], phys)
	require.NoError(t, err)
	return int32(binary.LittleEndian.Uint32(b[:]))
}

func TestEveryWriteToAWatchedPlaceIsSeen(t *testing.T) {
	vm := launchTest(t, testConfig(t))
	addr, phys := panicTimeout(t, vm)
	var values []int32
	previous := uint64(uint32(readInt32(t, vm, phys)))
	pcs := make(map[uint64]bool)
	w, err := vm.Watch(t.Context(), addr, 4, kernelImage(vm), func(h Hit) bool {
		values = append(values, readInt32(t, vm, phys))
		require.Equal(t, previous, h.Old)
		require.EqualValues(t, readInt32(t, vm, phys), h.New)
		previous = h.New
		pcs[h.PC] = true
		require.Contains(t, []int{0, 1}, h.CPU)
		return true
	})
	require.NoError(t, err)
	mustAsk(t, vm, "repeat %s 100", panicFile)
	require.NoError(t, w.Close(t.Context()))
	require.Len(t, values, 100)
	for i, v := range values {
		require.EqualValues(t, i+1, v)
	}
	require.Len(t, pcs, 1, "one instruction writes")
	for pc := range pcs {
		require.Greater(t, pc, uint64(0xffffffff80000000), "it is the kernel's")
	}

	mustAsk(t, vm, "repeat %s 10", panicFile)
	require.Len(t, values, 100, "a watchpoint that was closed sees nothing")
	previous = 10
	require.NoError(t, w.Arm(t.Context()))
	mustAsk(t, vm, "repeat %s 10", panicFile)
	require.NoError(t, w.Close(t.Context()))
	require.Len(t, values, 110)
}

func TestWatchpointEndsWhenItIsToldTo(t *testing.T) {
	vm := launchTest(t, testConfig(t))
	addr, _ := panicTimeout(t, vm)
	hits := 0
	w, err := vm.Watch(t.Context(), addr, 4, kernelImage(vm), func(Hit) bool { hits++; return hits < 3 })
	require.NoError(t, err)
	mustAsk(t, vm, "repeat %s 10", panicFile)
	require.NoError(t, w.Close(t.Context()))
	require.Equal(t, 3, hits)
}

// Pauses and hits meet in every order.
func TestHitsAndPausesDoNotDisturbOneAnother(t *testing.T) {
	vm := launchTest(t, testConfig(t))
	addr, phys := panicTimeout(t, vm)
	var hits, last atomic.Int32
	w, err := vm.Watch(t.Context(), addr, 4, kernelImage(vm), func(Hit) bool {
		hits.Add(1)
		last.Store(readInt32(t, vm, phys))
		return true
	})
	require.NoError(t, err)
	stop, pauses := make(chan struct{}), 0
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if !pauseOnce(t, vm, phys) {
				return
			}
			pauses++
		}
	})
	mustAsk(t, vm, "repeat %s 500", panicFile)
	close(stop)
	wg.Wait()
	require.NoError(t, w.Close(t.Context()))
	require.EqualValues(t, 500, hits.Load())
	require.EqualValues(t, 500, last.Load())
	require.Positive(t, pauses)
	require.Equal(t, "pong", mustAsk(t, vm, "ping"))
}

// A stub that is spoken to while vCPUs run, or not heard out, cannot be spoken to again.
func TestCancelledPausesOfAWatchedGuestLeaveItRunning(t *testing.T) {
	vm := launchTest(t, testConfig(t))
	addr, _ := panicTimeout(t, vm)
	counter := counterAddr(t, vm)
	hits := 0
	w, err := vm.Watch(t.Context(), addr, 4, kernelImage(vm), func(Hit) bool { hits++; return true })
	require.NoError(t, err)
	for range 200 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(800))*time.Microsecond)
		if err := vm.Pause(ctx); err == nil {
			require.NoError(t, vm.Resume())
		} else {
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
		cancel()
	}
	before := readWord(t, vm, counter)
	require.Eventually(t, func() bool { return readWord(t, vm, counter) != before }, 10*time.Second, time.Millisecond)
	mustAsk(t, vm, "repeat %s 10", panicFile)
	require.NoError(t, w.Close(t.Context()))
	require.Equal(t, 10, hits)
}

func TestWatchpointsThatAreCancelledCanBeArmedAgain(t *testing.T) {
	vm := launchTest(t, testConfig(t))
	addr, _ := panicTimeout(t, vm)
	hits := 0
	onHit := func(Hit) bool { hits++; return true }
	for range 200 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(3000))*time.Microsecond)
		w, err := vm.Watch(ctx, addr, 4, kernelImage(vm), onHit)
		if err == nil {
			require.NoError(t, w.Close(t.Context()))
		} else {
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
		cancel()
	}
	w, err := vm.Watch(t.Context(), addr, 4, kernelImage(vm), onHit)
	require.NoError(t, err)
	mustAsk(t, vm, "repeat %s 10", panicFile)
	require.NoError(t, w.Close(t.Context()))
	require.Equal(t, 10, hits)
}

// A capture in a callback can take long on a busy host.
func TestGuestSurvivesACallbackThatTakesItsTime(t *testing.T) {
	vm := launchTest(t, testConfig(t))
	addr, _ := panicTimeout(t, vm)
	_, err := vm.Watch(t.Context(), addr, 4, kernelImage(vm), func(Hit) bool {
		<-time.After(stopTimeout + time.Second)
		return false
	})
	require.NoError(t, err)
	mustAsk(t, vm, "repeat %s 1", panicFile)
	require.Equal(t, "pong", mustAsk(t, vm, "ping"))
}

// pauseOnce pauses the guest and checks that it stands still.
func pauseOnce(t *testing.T, vm *VM, phys int64) bool {
	if err := vm.Pause(t.Context()); err != nil {
		t.Errorf("pause: %v", err)
		return false
	}
	before := readInt32(t, vm, phys)
	status, err := vm.Status(t.Context())
	after := readInt32(t, vm, phys)
	if err != nil || status == "running" || before != after {
		t.Errorf("status %q, %v; %d, then %d", status, err, before, after)
	}
	if err := vm.Resume(); err != nil {
		t.Errorf("resume: %v", err)
		return false
	}
	return true
}

// A callback that ends its goroutine loses its watchpoint, and nothing else.
func TestGuestRunsOnAfterACallbackThatDoesNotReturn(t *testing.T) {
	vm := launchTest(t, testConfig(t))
	addr, _ := panicTimeout(t, vm)
	hits := 0
	w, err := vm.Watch(t.Context(), addr, 4, kernelImage(vm), func(Hit) bool {
		hits++
		runtime.Goexit()
		return true
	})
	require.NoError(t, err)
	mustAsk(t, vm, "repeat %s 10", panicFile)
	require.NoError(t, w.Close(t.Context()))
	require.Equal(t, 1, hits)
}

func TestPlacesThatCannotBeWatchedAreRefused(t *testing.T) {
	vm := launchTest(t, testConfig(t))
	addr, _ := panicTimeout(t, vm)
	never := func(Hit) bool { t.Error("hit"); return false }
	for _, size := range []int{-1, 0, 3, 16} {
		var bad *WatchSizeError
		_, err := vm.Watch(t.Context(), addr, size, kernelImage(vm), never)
		require.ErrorAs(t, err, &bad)
		require.ErrorContains(t, err, "has 1, 2, 4 or 8 bytes and is aligned to as many")
	}
	_, err := vm.Watch(t.Context(), addr+1, 4, kernelImage(vm), never)
	require.ErrorContains(t, err, "aligned")

	w, err := vm.Watch(t.Context(), addr, 4, kernelImage(vm), never)
	require.NoError(t, err)
	var overlap *WatchOverlapError
	_, err = vm.Watch(t.Context(), addr+2, 2, kernelImage(vm), never)
	require.ErrorAs(t, err, &overlap)
	again, err := vm.Watch(t.Context(), addr, 4, kernelImage(vm), never)
	require.NoError(t, err, "the same place may be watched twice")
	require.NoError(t, again.Close(t.Context()))
	require.NoError(t, w.Close(t.Context()))
	require.NoError(t, w.Close(t.Context()), "closing twice does nothing")
}

func TestTooManyWatchpointsSayWhatToDo(t *testing.T) {
	refused := &gdb.Error{Command: "Z2,8020,8", Reply: "E22"}
	err := error(&WatchLimitError{Addr: 0x8020, Size: 8, Armed: 4, Accel: KVM, Err: refused})
	require.EqualError(t, err, "watching 8 bytes at 0x8020: QEMU's gdbstub refused Z2,8020,8: E22; 4 watchpoints are armed, "+
		"and the CPU's debug registers hold 4: take one back (Watchpoint.Close), or use $KTGEN_ACCEL=tcg, which has no limit")
	require.ErrorIs(t, err, refused)
}

func TestGuestThatIsKilledEndsItsWatchpoints(t *testing.T) {
	for _, when := range []string{"in a hit", "between hits"} {
		t.Run(when, func(t *testing.T) {
			vm := launchTest(t, testConfig(t))
			addr, _ := panicTimeout(t, vm)
			w, err := vm.Watch(t.Context(), addr, 4, kernelImage(vm), func(Hit) bool {
				if when == "in a hit" {
					syscall.Kill(vm.PID(), syscall.SIGKILL)
				}
				return true
			})
			require.NoError(t, err)
			if when == "in a hit" {
				command(t, vm, "write "+panicFile+" 7")
			} else {
				require.NoError(t, syscall.Kill(vm.PID(), syscall.SIGKILL))
			}
			require.Error(t, waitDone(t, vm))
			require.ErrorIs(t, w.Close(t.Context()), vm.Err())
			require.NoError(t, vm.Close())
		})
	}
}

func TestGuestSurvivesAPlaceThatIsWrittenAllTheTime(t *testing.T) {
	vm := launchTest(t, testConfig(t))
	addr, err := strconv.ParseUint(mustAsk(t, vm, "symbol jiffies_64"), 16, 64)
	require.NoError(t, err)
	enough := make(chan struct{})
	hits := 0
	w, err := vm.Watch(t.Context(), addr, 8, kernelImage(vm), func(Hit) bool {
		if hits++; hits == 300 {
			close(enough)
		}
		return true
	})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	select {
	case <-enough:
	case <-ctx.Done():
		require.Fail(t, "too few hits")
	}
	require.Equal(t, "pong", mustAsk(t, vm, "ping"))
	require.NoError(t, w.Close(t.Context()))
}
