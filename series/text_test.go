package series

import (
	"errors"
	"flag"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the texts in testdata")

// run makes samples as a scenario of two steps leaves them behind.
func run(values ...float64) []Sample[float64] {
	samples := every(values...)
	for i := range samples {
		samples[i].Elapsed = time.Duration(i) * 700 * time.Millisecond
		samples[i].Phase.Step = 1 + i/4
		samples[i].Trigger = Cadence
	}
	return samples
}

func TestVerdictsPrintWhatHappenedWhere(t *testing.T) {
	timeout := &NoSnapshotError{Err: errors.New("the vCPUs did not stop within 30s")}
	walk := run(180, 190, 200, 0, 150, 130, 140, 120, 190)
	walk[3].Value, walk[3].Err = 0, timeout
	dispatched := Of(walk, func(v float64) uint64 { return uint64(v) }).Named("nr_dispatched")
	busy := Of(walk, func(v float64) float64 { return v / 300 }).Named("busy")
	alive := dispatched.Is(func(n uint64) bool { return n < 195 })
	quiet := Of(run(0, 0, 0, 0, 0, 0), func(v float64) bool { return v > 0 }).Named("stalled")
	full := Of(run(0, 1, 0, 0, 0, 0, 1), func(v float64) bool { return v > 0 }).Named("full")
	drained := without(Of(run(0, 0, 0, 0, 0, 1, 0), func(v float64) bool { return v > 0 }).Named("drained"), 3)
	long := make([]float64, 1000)
	for i := range long {
		long[i] = 500 + 400*math.Sin(float64(i)/60)
	}
	lone := run(1, 2, 3, 4, 5, 6)
	for i := 1; i < 6; i++ {
		lone[i].Err = timeout
	}
	lone[5].Err = &NoSnapshotError{Err: errors.New("the guest has ended")}
	nan := run(0.5, 0.25, math.NaN(), 0.5)
	restarts := run(100, 200, 3, 90, 180, 5, 170)
	crash := every(tasks{17: 10, 18: 10}, tasks{17: 20, 18: 8, 19: 1}, tasks{17: 30, 18: 9})

	for name, verdict := range map[string]Verdict{
		"pass":              NonDecreasing(Of(run(1, 2, 3), func(v float64) uint64 { return uint64(v) }).Named("nr_dispatched")),
		"pass_with_gaps":    Each(dispatched.MinCoverage(0.8)).AtLeast(100),
		"fall_across_a_gap": NonDecreasing(dispatched),
		"standstill":        StrictlyIncreasing(Of(run(1, 2, 2), func(v float64) uint64 { return uint64(v) }).Named("nr_dispatched")),
		"resets":            NonDecreasingWithResets(Of(restarts, func(v float64) uint64 { return uint64(v) }).Named("nr_dispatched"), 1, 10),
		"rate":              RateWithin(dispatched, -10, 25),
		"steady":            SteadyWithin(busy, time.Second, 0.2),
		"converge_late":     ConvergesTo(busy, 0.45, 0.1, 2*time.Second),
		"converge_leave":    ConvergesTo(busy, 0.45, 0.1, 4*time.Second),
		"converge_early":    ConvergesTo(busy.Until(1400*time.Millisecond), 0.45, 0.1, 4*time.Second),
		"always":            AlwaysTrue(alive),
		"always_gap":        AlwaysTrue(dispatched.Is(func(n uint64) bool { return n > 0 })),
		"eventually":        Eventually(quiet),
		"eventually_gap":    Eventually(dispatched.Is(func(n uint64) bool { return n > 1000 })),
		"eventually_within": EventuallyWithin(quiet, time.Second),
		"leads_to":          LeadsTo(full, drained, time.Second),
		"leads_to_gap":      LeadsTo(full, drained, 1500*time.Millisecond),
		"leads_to_never":    LeadsTo(quiet, quiet, time.Second),
		"ratio":             RatioWithin(busy, dispatched, 0, 0.003),
		"ratio_zero":        RatioWithin(dispatched.Until(time.Second), Of(walk, func(v float64) int { return max(0, int(v)-185) }).Named("idle").Until(time.Second), 0, 1000),
		"phases":            dispatched.ByPhase().Every(NonDecreasing),
		"phase_ratio":       PhaseRatioWithin(dispatched, Mean, 2, 1, 0.8, 1.2),
		"no_phase":          NonDecreasing(dispatched.Phase(7)),
		"between":           Each(dispatched).Between(100, 180),
		"bad_bounds":        RateWithin(dispatched, 3, 1),
		"nan":               NonDecreasing(Of(nan, func(v float64) float64 { return v }).Named("busy")),
		"too_few":           NonDecreasing(Of(lone, func(v float64) float64 { return v }).Named("busy")),
		"low_coverage":      NonDecreasing(dispatched.MinCoverage(0.95)),
		"no_samples":        NonDecreasing(dispatched.After(time.Hour)),
		"all_in_warm_up":    SteadyWithin(busy, time.Hour, 0.1),
		"misaligned":        RatioWithin(busy, dispatched.Until(time.Second), 0, 1),
		"long":              NonDecreasing(Of(run(long...), func(v float64) float64 { return math.Round(v) }).Named("vtime")),
		"tasks":             PerKey(crash, listTasks).Named("vtime").Lasting(2).Every(NonDecreasing),
		"tasks_pass":        PerKey(crash[:2], listTasks).Named("vtime").Every(func(s Series[uint64]) Verdict { return Each(s).AtLeast(1) }),
		"tasks_short":       PerKey(crash[1:], listTasks).Named("vtime").Every(NonDecreasing),
		"tasks_none":        PerKey(lost(every(tasks{17: 1}, tasks{}), 0), listTasks).Named("vtime").Every(NonDecreasing),
		"tasks_lost":        PerKey(lost(every(tasks{17: 1}, tasks{}), 0, 1), listTasks).Named("vtime").Every(NonDecreasing),
		"words":             NonDecreasing(of("b", "a").Named("state")),
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join("testdata", name+".txt")
			got := verdict.String() + "\n"
			if *update {
				require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
			}
			want, err := os.ReadFile(file)
			require.NoError(t, err)
			require.Equal(t, string(want), got)
		})
	}
}

func TestSparklinesKeepMarkedSamplesVisible(t *testing.T) {
	points := make([]PlotPoint, 10_000)
	for i := range points {
		points[i].Value = 1
	}
	points[7777].Value = 0
	line, marks := sparkline(points, []int{7777})
	require.Equal(t, maxWidth, len([]rune(line))-len("  0 to 1"))
	require.Contains(t, line, "▁")
	require.Equal(t, []rune(line)[len([]rune(marks))-1], '▁')
}

func TestSparklinesOfExtremesStayInRange(t *testing.T) {
	for _, values := range [][]float64{{0}, {-math.MaxFloat64, math.MaxFloat64}, {0, 5e-324}, {1, math.NaN(), 2}} {
		points := make([]PlotPoint, len(values))
		for i, v := range values {
			points[i].Value = v
		}
		line, _ := sparkline(points, nil)
		require.NotEmpty(t, line)
	}
	line, _ := sparkline([]PlotPoint{{Value: math.NaN()}}, nil)
	require.Empty(t, line)
}
