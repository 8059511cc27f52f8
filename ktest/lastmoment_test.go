package ktest_test

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/scenario"
)

func TestStateBeforeTheEndIsCaptured(t *testing.T) {
	asObjectAndProgram(t, "error", func(t *testing.T, vm *ktest.VM) {
		_, err := vm.Work(bound(t, time.Minute), ktest.Spin, 1)
		require.NoError(t, err)
		late, err := vm.Captures().Await(bound(t, time.Minute), ktest.SchedulerExit)
		require.NoError(t, err)
		early, err := vm.Captures().Get(ktest.BeforeExit)
		require.NoError(t, err)
		requireState(t, early, "fault_ops")
		require.Less(t, early.Elapsed, late.Elapsed)
		snap, err := early.Read()
		require.NoError(t, err)
		require.Equal(t, runtime.Scheduler{State: "enabled", Name: "fault", Reason: "scx_bpf_error", Message: "the fault was asked for"}, snap.Scheduler)
	})
}

func TestStalledTasksAreCapturedBeforeTheKernelTakesThemAway(t *testing.T) {
	asObjectAndProgram(t, "stall", func(t *testing.T, vm *ktest.VM) {
		started := make(chan struct{})
		go func() { // ends when the scheduler has been thrown out
			defer close(started)
			_, _ = vm.Spawn(bound(t, time.Minute), scenario.Workers{Name: "starved", Kind: scenario.Spin})
		}()
		c, err := vm.Captures().Await(bound(t, time.Minute), ktest.SchedulerExit)
		require.NoError(t, err)
		late, err := c.Read()
		require.NoError(t, err)
		early, err := vm.Captures().Snapshot(ktest.BeforeExit)
		require.NoError(t, err)
		stuck := func(s *runtime.Snapshot) uint64 {
			n, err := s.Active().Var("nr_stuck").Uint64()
			require.NoError(t, err)
			return n
		}
		require.NotZero(t, stuck(early))
		require.Zero(t, stuck(late), "the kernel has let the scheduler forget them")
		require.Equal(t, "runnable task stall", early.Scheduler.Reason)
		require.Equal(t, "enabled", early.Scheduler.State)
		<-started
	})
}

func TestSchedulerThatIsAskedToEndIsNotCaptured(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{Scheduler: fault("docile"), BeforeExit: true})
	_, err := vm.Detach(t.Context())
	require.NoError(t, err)
	require.Zero(t, vm.Captures().Len())
}

// BenchmarkBeforeExit is what the watchpoint for the last moment of a scheduler costs
// one that does not end: when it is attached, while it schedules, and in captures.
func BenchmarkBeforeExit(b *testing.B) {
	for name, with := range map[string]bool{"with": true, "without": false} {
		b.Run(name, func(b *testing.B) {
			vm := ktest.Boot(b, ktest.Config{Scheduler: fault("docile"), BeforeExit: with})
			workers, err := vm.Work(b.Context(), ktest.Yield, 4)
			require.NoError(b, err)
			defer workers.Stop()
			var switches, seconds float64
			var paused time.Duration
			for b.Loop() {
				before, err := vm.ReadFile(context.Background(), "/proc/stat")
				require.NoError(b, err)
				began := time.Now()
				<-time.After(2 * time.Second)
				after, err := vm.ReadFile(context.Background(), "/proc/stat")
				require.NoError(b, err)
				switches += ctxt(b, after) - ctxt(b, before)
				seconds += time.Since(began).Seconds()
				for range 10 {
					snap, err := vm.Capture(b.Context(), "x")
					require.NoError(b, err)
					paused += snap.Timing.Paused
				}
				vm.Captures().Drain()
			}
			b.ReportMetric(switches/seconds, "switches/s")
			b.ReportMetric(float64(paused.Microseconds())/10/float64(b.N), "paused-us")
			workers.Stop()
			began := time.Now()
			for range 5 {
				_, err := vm.Detach(b.Context())
				require.NoError(b, err)
				require.NoError(b, vm.Attach(b.Context(), fault("docile")))
			}
			b.ReportMetric(float64(time.Since(began).Milliseconds())/5, "attach-ms")
		})
	}
}

// ctxt returns the number of context switches of /proc/stat.
func ctxt(b *testing.B, stat []byte) float64 {
	_, rest, ok := strings.Cut(string(stat), "\nctxt ")
	require.True(b, ok)
	text, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.ParseFloat(text, 64)
	require.NoError(b, err)
	return n
}
