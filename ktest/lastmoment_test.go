package ktest_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/runtime/ktsnap"
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
		require.Equal(t, ktsnap.Scheduler{State: "enabled", Name: "fault", Reason: "scx_bpf_error", Message: "the fault was asked for", Instance: 1}, snap.Scheduler)
	})
}

func TestStateBeforeTheEndIsCapturedInLockstep(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{Seed: 7, Watches: true, Scheduler: fault("error"), ExpectExit: true})
	_, err := vm.Work(t.Context(), ktest.Spin, 1)
	require.NoError(t, err)
	_, err = vm.AwaitExit(t.Context())
	require.NoError(t, err)
	early, err := vm.Captures().Get(ktest.BeforeExit)
	require.NoError(t, err)
	requireState(t, early, "fault_ops")
	late, err := vm.Captures().Get(ktest.SchedulerExit)
	require.NoError(t, err)
	require.Less(t, early.Elapsed, late.Elapsed)
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
		stuck := func(s *ktsnap.Snapshot) uint64 {
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
	vm := ktest.Boot(t, ktest.Config{Scheduler: fault("docile")})
	_, err := vm.Detach(t.Context())
	require.NoError(t, err)
	require.Zero(t, vm.Captures().Len())
}

// listener is a test whose log can be read.
type listener struct {
	testing.TB
	mu   sync.Mutex
	said []string
}

func (l *listener) Logf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.said = append(l.said, fmt.Sprintf(format, args...))
}

func TestMomentBeforeTheEndThatCannotBeWatchedIsSaidOnce(t *testing.T) {
	ears := &listener{TB: t}
	noTime := ktest.Timeouts{Capture: time.Nanosecond}
	vm := ktest.Boot(ears, ktest.Config{Scheduler: fault("docile"), ExpectExit: true, Timeouts: noTime})
	_, err := vm.Detach(t.Context())
	require.NoError(t, err)
	require.NoError(t, vm.Attach(bound(t, time.Minute), fault("error")))
	_, err = vm.Work(bound(t, time.Minute), ktest.Spin, 1)
	require.NoError(t, err)
	_, err = vm.Captures().Await(bound(t, time.Minute), ktest.SchedulerExit)
	require.NoError(t, err)

	require.Len(t, ears.said, 1)
	require.Contains(t, ears.said[0], `warning: no capture "before_exit" will be made`)
	require.Contains(t, ears.said[0], "context deadline exceeded")
	require.Contains(t, ears.said[0], "NoBeforeExit")
	c, err := vm.Captures().Get(ktest.BeforeExit)
	require.NoError(t, err)
	require.ErrorIs(t, c.NoSnapshot, context.DeadlineExceeded)
}

func TestMomentBeforeTheEndIsNotCapturedIfNobodyWantsIt(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{Scheduler: fault("error"), ExpectExit: true, NoBeforeExit: true})
	_, err := vm.Work(bound(t, time.Minute), ktest.Spin, 1)
	require.NoError(t, err)
	_, err = vm.Captures().Await(bound(t, time.Minute), ktest.SchedulerExit)
	require.NoError(t, err)
	require.Equal(t, 1, vm.Captures().Len())
}

// BenchmarkBeforeExit is what waiting for the last moment of a scheduler costs one that
// does not end: in Boot, while it schedules, and in captures. Both ways take turns, so
// that what else the host does is in both.
func BenchmarkBeforeExit(b *testing.B) {
	sums := map[bool]*beforeExitCost{true: {}, false: {}}
	for b.Loop() {
		for with, sum := range sums {
			sum.add(b, with)
		}
	}
	with, without := sums[true], sums[false]
	n := time.Duration(b.N)
	b.ReportMetric(float64((with.boot / n).Milliseconds()), "boot-ms")
	b.ReportMetric(float64(with.boot)/float64(without.boot), "boot-ratio")
	b.ReportMetric(float64((with.paused / n / 10).Microseconds()), "paused-us")
	b.ReportMetric(float64(with.paused)/float64(without.paused), "paused-ratio")
	b.ReportMetric(with.switches/float64(b.N), "switches/s")
	b.ReportMetric(with.switches/without.switches, "switches-ratio")
}

type beforeExitCost struct {
	boot, paused time.Duration // paused in 10 captures
	switches     float64       // a second
}

func (c *beforeExitCost) add(b *testing.B, with bool) {
	began := time.Now()
	vm, err := ktest.Start(b.Context(), ktest.Config{Scheduler: fault("docile"), NoBeforeExit: !with})
	require.NoError(b, err)
	defer vm.Close()
	c.boot += time.Since(began)
	_, err = vm.Work(b.Context(), ktest.Yield, 4)
	require.NoError(b, err)
	before, err := vm.ReadFile(b.Context(), "/proc/stat")
	require.NoError(b, err)
	began = time.Now()
	<-time.After(2 * time.Second)
	after, err := vm.ReadFile(b.Context(), "/proc/stat")
	require.NoError(b, err)
	c.switches += (ctxt(b, after) - ctxt(b, before)) / time.Since(began).Seconds()
	for range 10 {
		snap, err := vm.TryFreeze(b.Context(), "x")
		require.NoError(b, err)
		c.paused += snap.Timing.Paused
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
