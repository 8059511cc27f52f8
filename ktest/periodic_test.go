package ktest_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/scenario"
	"github.com/ktgen/ktgen/series"
	"github.com/ktgen/ktgen/vmm"
)

// periodic returns the captures of a cadence.
func periodic(vm *ktest.VM) []series.Capture {
	return series.Triggered(vm.Captures().Captures(), series.Cadence)
}

func TestCadenceCapturesBesideTheTest(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{Scheduler: fault("docile")})
	_, err := vm.Work(t.Context(), ktest.Yield, 2)
	require.NoError(t, err)
	vm.StartClock()
	vm.EnterPhase(series.Phase{Step: 1, Name: "yield"})
	p, err := vm.Periodically(bound(t, time.Minute), ktest.Cadence{Over: 2 * time.Second, N: 5})
	require.NoError(t, err)
	vm.Freeze("meanwhile")
	require.NoError(t, p.Wait())

	captures := periodic(vm)
	require.Len(t, captures, 5)
	require.Equal(t, "periodic_000", captures[0].Name)
	for i, c := range captures {
		require.NoError(t, c.NoSnapshot)
		require.Equal(t, series.Phase{Step: 1, Name: "yield"}, c.Phase)
		require.GreaterOrEqual(t, c.Elapsed, c.Due, "a capture comes when it is due")
		if i > 0 {
			require.InDelta(t, 1.6/6, (c.Due - captures[i-1].Due).Seconds(), 1e-6)
			require.Greater(t, c.Elapsed, captures[i-1].Elapsed)
		}
	}
	require.Equal(t, 6, vm.Captures().Len())

	// The captures are what series.Open takes.
	samples := series.Open(captures, func(s *ktsnap.Snapshot, _ ...runtime.Option) (*ktsnap.Snapshot, error) { return s, nil })
	probes := series.TryOf(samples, func(s *ktsnap.Snapshot) (uint64, error) { return s.Var("nr_probes").Uint64() })
	series.NonDecreasing(probes).Require(t)
}

// A scenario starts the clock, and a cadence goes on.
func TestCadenceGoesOnWhenTheClockIsStartedAgain(t *testing.T) {
	const every = 120 * time.Millisecond
	vm := ktest.Boot(t, ktest.Config{Seed: 1, Scheduler: fault("docile")})
	require.NoError(t, vm.Hold(t.Context(), time.Second))
	p, err := vm.Periodically(t.Context(), ktest.Cadence{Over: 10 * every, Every: every})
	require.NoError(t, err)
	for range 3 {
		vm.Run(scenario.Step{Hold: 3*every + every/2})
	}
	require.NoError(t, p.Wait())

	captures := periodic(vm)
	require.Len(t, captures, 10)
	for i, c := range captures {
		require.NoError(t, c.NoSnapshot)
		require.InDelta(t, c.Due, c.Elapsed, float64(10*time.Millisecond))
		if i > 0 {
			require.InDelta(t, every, c.Time()-captures[i-1].Time(), float64(10*time.Millisecond))
		}
	}
	require.Less(t, captures[9].Elapsed, 5*every, "since the beginning of the third scenario")
	require.Less(t, captures[0].Began, captures[9].Began)
}

func TestCadenceWithoutASchedulerLeavesPlaceholders(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{})
	p, err := vm.Periodically(bound(t, time.Minute), ktest.Cadence{Over: 300 * time.Millisecond, Every: 100 * time.Millisecond, Name: "x"})
	require.NoError(t, err)
	var unready *ktest.NotReadyError
	require.ErrorAs(t, p.Wait(), &unready)
	captures := periodic(vm)
	require.Len(t, captures, 3)
	for i, c := range captures {
		require.Equal(t, []string{"x_000", "x_001", "x_002"}[i], c.Name)
		require.ErrorAs(t, c.NoSnapshot, &unready)
	}
}

func TestCadenceWaitsForAScheduler(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{})
	const due = 4 * time.Second
	p, err := vm.Periodically(bound(t, time.Minute), ktest.Cadence{Over: due, Every: due})
	require.NoError(t, err)
	require.NoError(t, vm.Attach(bound(t, time.Minute), fault("docile")))
	_, err = vm.Detach(t.Context())
	require.NoError(t, err)
	require.Eventually(t, func() bool { return vm.Elapsed() > due+100*time.Millisecond }, time.Minute, 20*time.Millisecond)
	require.Empty(t, periodic(vm), "it is put off")
	require.NoError(t, vm.Attach(bound(t, time.Minute), fault("docile")))
	require.NoError(t, p.Wait())
	require.Len(t, periodic(vm), 1)
}

func TestCadenceIsGivenUpWhenTheGuestCannotBeStopped(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{Scheduler: fault("docile"), Timeouts: ktest.Timeouts{Capture: 100 * time.Millisecond}})
	p, err := vm.Periodically(bound(t, time.Minute), ktest.Cadence{Over: 600 * time.Millisecond, Every: 100 * time.Millisecond})
	require.NoError(t, err)
	require.NoError(t, vm.Machine().Pause(t.Context())) // nobody else can
	var abandoned *ktest.AbandonedError
	err = p.Wait()
	require.NoError(t, vm.Machine().Resume())
	require.ErrorAs(t, err, &abandoned)
	captures := periodic(vm)
	require.Len(t, captures, 6, "what is missing is there, with the reason")
	first := slices.IndexFunc(captures, func(c series.Capture) bool { return c.NoSnapshot != nil })
	require.Less(t, first, 3)
	require.NotErrorAs(t, captures[first].NoSnapshot, &abandoned)
	require.NotErrorAs(t, captures[first+1].NoSnapshot, &abandoned)
	for _, c := range captures[first+2:] {
		require.ErrorAs(t, c.NoSnapshot, &abandoned)
	}
}

func TestCadenceEndsWithTheGuest(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{Scheduler: fault("docile"), ExpectExit: true})
	p, err := vm.Periodically(bound(t, time.Minute), ktest.Cadence{Over: time.Minute, N: 20})
	require.NoError(t, err)
	require.Error(t, vm.WriteFile(bound(t, time.Minute), "/proc/sysrq-trigger", []byte("c"), 0))
	var panicked *vmm.GuestPanicError
	require.ErrorAs(t, p.Wait(), &panicked)
	require.Len(t, periodic(vm), 20)
}

func TestCadenceThatIsStoppedIsNoFailure(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{Scheduler: fault("docile")})
	p, err := vm.Periodically(t.Context(), ktest.Cadence{Every: 100 * time.Millisecond})
	require.NoError(t, err)
	_, err = vm.Captures().Await(bound(t, time.Minute), "periodic_001")
	require.NoError(t, err)
	p.Stop()
	require.NoError(t, p.Wait())
	n := vm.Captures().Len()
	require.GreaterOrEqual(t, n, 2)
}

// BenchmarkCadence makes 100 captures in 10 s, of a guest whose CPUs are busy.
// It reports how much of the time the guest stood still, and how late captures
// came.
func BenchmarkCadence(b *testing.B) {
	vm := ktest.Boot(b, ktest.Config{Scheduler: fault("docile")})
	_, err := vm.Work(b.Context(), ktest.Spin, 2)
	require.NoError(b, err)
	for b.Loop() {
		p, err := vm.Periodically(b.Context(), ktest.Cadence{Over: 10 * time.Second, Every: 100 * time.Millisecond})
		require.NoError(b, err)
		require.NoError(b, p.Wait())
		captures := vm.Captures().Drain()
		require.Len(b, captures, 100)
		var late []time.Duration
		var stopped time.Duration
		for _, c := range captures {
			snap, err := c.Read()
			require.NoError(b, err)
			late = append(late, c.Elapsed-c.Due)
			stopped += snap.Timing.Paused
		}
		slices.Sort(late)
		b.ReportMetric(float64(late[50])/1e6, "late-p50-ms")
		b.ReportMetric(float64(late[99])/1e6, "late-max-ms")
		b.ReportMetric(100*stopped.Seconds()/10, "paused-%")
	}
}
