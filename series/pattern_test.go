package series

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/runtime/ktsnap"
)

func TestAFallIsSeenAcrossSamplesWithoutAValue(t *testing.T) {
	NonDecreasing(without(of(100, 200, 0, 150, 160), 2)).requireFail(t, 3)
	NonDecreasing(without(of(100, 200, 0, 0, 0, 0, 0, 0, 0, 150), 2, 3, 4, 5, 6, 7, 8)).requireFail(t, 9)
	StrictlyIncreasing(without(of(100, 200, 0, 200), 2)).requireFail(t, 3)
	NonDecreasingWithResets(without(of(100, 200, 0, 150), 2), 5, 10).requireFail(t, 3)
	RateWithin(without(of(100, 200, 0, 100), 2), 0, 1000).requireFail(t, 3)
}

func TestCountersAreComparedInTheirOwnType(t *testing.T) {
	const big = uint64(1) << 63 // float64 does not tell it from big-1
	NonDecreasing(of(big, big-1)).requireFail(t, 1)
	StrictlyIncreasing(of(big, big+1)).Require(t)
	Each(of(big-1)).AtLeast(big).requireFail(t, 0)
	RateWithin(of(big, big+10), 10, 10).Require(t)
	RateWithin(of(big+10, big), -10, -10).Require(t)
	RateWithin(of[int64](math.MinInt64, math.MaxInt64), 0, math.MaxInt64).requireFail(t, 1)
	RateWithin(of[int8](-128, 127), 255, 255).Require(t)
	RateWithin(of(-math.MaxFloat64, math.MaxFloat64), 0, 1).requireFail(t, 1)
	RateWithin(of(0, 1e300), 0, 2e300).Require(t)
	SteadyWithin(of(math.MaxFloat64, math.MaxFloat64), 0, 0).Require(t)
}

func TestValuesAtTheirBoundAreWithinIt(t *testing.T) {
	rate := Of([]Sample[float64]{{Value: 0}, {Moment: Moment{Elapsed: 300 * time.Millisecond}, Value: 3}}, func(v float64) float64 { return v })
	RateWithin(rate, 10, 10).Require(t)
	SteadyWithin(of(71, 129), 0, 0.29).Require(t)
	RatioWithin(of(11), of(20), 0.55, 0.55).Require(t)
	ConvergesTo(of(1.1, 0.9, 1.1), 1, 0.1, 0).Require(t)
	NonDecreasing(without(of(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19), 0, 1, 2, 3, 4, 5, 6, 7, 8).MinCoverage(0.55)).Require(t)
}

func TestResetsAreFallsToNearlyNothing(t *testing.T) {
	restarted := of(10, 20, 1, 8, 15)
	NonDecreasingWithResets(restarted, 1, 5).Require(t)
	NonDecreasingWithResets(restarted, 0, 5).requireFail(t, 2)
	NonDecreasingWithResets(of(10, 20, 19, 25), 1, 5).requireFail(t, 2)
	NonDecreasingWithResets(of(10, 1, 9, 2, 9, 3), 2, 5).requireFail(t, 5)
	require.Len(t, NonDecreasingWithResets(restarted, 1, 5).Notes, 1)
}

func TestFallsSayThatTheSchedulerWasStartedAgain(t *testing.T) {
	samples := every(10, 20, 3, 8)
	for i := range samples {
		samples[i].Instance = 1 + i/2
	}
	n := Of(samples, func(n int) int { return n }).Named("x")
	require.Equal(t, "3 at periodic_002 (+2s) is less than 20 at periodic_001 (+1s); its program has started the scheduler again in between (instance 1, then 2): "+
		"NonDecreasingWithResets allows for that", NonDecreasing(n).Reason)
	require.NotContains(t, NonDecreasing(of(10, 20, 3)).Reason, "again")
	require.Equal(t, 2, Snapshots(&ktsnap.Snapshot{Scheduler: ktsnap.Scheduler{Instance: 2}})[0].Instance)
}

func TestTheRateAtOneTimeIsNotDefined(t *testing.T) {
	at := func(values ...int) Series[int] {
		samples := every(values...)
		for i := range samples {
			samples[i].Elapsed = time.Duration(i/2) * time.Second
		}
		return Of(samples, func(n int) int { return n }).Named("x")
	}
	require.Equal(t, Inconclusive, RateWithin(at(1, 1), 0, 1).Outcome, "all of the same time")
	require.Equal(t, Inconclusive, RateWithin(at(1, 2, 2), 0, 5).Outcome, "two values of the same time")
	require.Equal(t, Pass, RateWithin(at(1, 1, 2, 2), 0, 5).Outcome)
	RateWithin(at(0, 0, 0, 100, 100), 0, 99).requireFail(t, 3, 4)
}

// What happens while a step is left is not of that step.
func TestStepsThatAreGoneThroughAgain(t *testing.T) {
	samples := every(0, 5, 10, 510, 1000, 1005, 1010)
	for i := range samples {
		samples[i].Phase.Step = []int{1, 1, 1, 2, 2, 1, 1}[i]
	}
	s := Of(samples, func(n int) int { return n }).Named("x")
	RateWithin(s.Phase(1), 5, 5).Require(t)
	RateWithin(s, 5, 5).requireFail(t, 3, 4)
	PhaseRatioWithin(s, Rate, 2, 1, 98, 98).Require(t)
	PhaseRatioWithin(s, Increase, 1, 2, 15.0/490, 15.0/490).Require(t)
	PhaseRatioWithin(s, Last, 1, 2, 1.01, 1.01).Require(t)

	alone := s.keep(func(p *Point[int]) bool { return p.Value != 5 && p.Value != 10 && p.Value != 1005 })
	require.Equal(t, Inconclusive, PhaseRatioWithin(alone, Increase, 2, 1, 0, 1e9).Outcome, "each time one value")
	require.Equal(t, Inconclusive, RateWithin(alone.Phase(1), 0, 1e9).Outcome)

	for i := range samples { // two scenarios of the same step
		samples[i].Phase.Step, samples[i].Began = 1, time.Duration(i/4)*time.Second
	}
	require.Equal(t, 4, slices.IndexFunc(Of(samples, func(n int) int { return n }).Phase(1).points, func(p Point[int]) bool { return p.visit == 1 }))
}

func TestTheWarmUpDoesNotCount(t *testing.T) {
	s := of(1, 50, 100, 101, 99, 100)
	SteadyWithin(s, 2*time.Second, 0.02).Require(t)
	SteadyWithin(s, time.Second, 0.02).requireFail(t, 1, 2, 3, 4, 5)
	SteadyWithin(of(math.NaN(), 50, 50), time.Second, 0).Require(t)
	require.Equal(t, Inconclusive, SteadyWithin(s, 5*time.Second, 0.02).Outcome, "one value is as steady as it gets")
	SteadyWithin(of(0, 0, 0), 0, 0.5).Require(t)
	SteadyWithin(of(-1, 1), 0, 0.5).requireFail(t, 0, 1)
	require.NotContains(t, SteadyWithin(of(-1, 1), 0, 0.5).String(), "Inf", "nothing is a percentage of 0")
	SteadyWithin(of(-100, -100, -101), 0, 0.01).Require(t)
}

func TestWhatHasConvergedStays(t *testing.T) {
	ConvergesTo(of(0, 90, 100, 101, 99), 100, 5, 2*time.Second).Require(t)
	ConvergesTo(of(0, 100, 100, 100, 200), 100, 5, 2*time.Second).requireFail(t, 4)
	ConvergesTo(of(0, 0, 0, 100, 100, 100), 100, 5, 2*time.Second).requireFail(t, 2)
	ConvergesTo(of(0, 100, 0, 100, 100, 100), 100, 5, 3*time.Second).Require(t)
	for name, s := range map[string]Series[int]{
		"the series ends before the deadline":      of(0, 0),
		"two values are too few to confirm it":     of(0, 100, 100),
		"what decides has no value":                without(of(0, 0, 0, 100, 100, 100), 2),
		"there is no sample up to the deadline":    of(100, 100, 100, 100, 100, 100).After(3 * time.Second),
		"more than half of the values are missing": without(of(100, 100, 100, 0, 0, 0, 0), 3, 4, 5, 6),
	} {
		require.Equal(t, Inconclusive, ConvergesTo(s, 100, 5, 2*time.Second).Outcome, name)
	}
	ConvergesTo(of(100, 100, 100), 100, 5, math.MaxInt64).Require(t)
}

func TestEventuallyTakesOneSample(t *testing.T) {
	reached := func(n int) bool { return n >= 100 }
	s := of(0, 50, 100, 0).Is(reached)
	Eventually(s).Require(t)
	EventuallyWithin(s, 2*time.Second).Require(t)
	EventuallyWithin(s, time.Second).requireFail(t, 1)
	Eventually(of(0, 50).Is(reached)).requireFail(t, 1)
	require.Equal(t, Inconclusive, EventuallyWithin(of(0, 50).Is(reached), time.Minute).Outcome, "the series ends before")
	require.Equal(t, Inconclusive, Eventually(without(of(0, 50), 1).Is(reached)).Outcome, "it could be that one")
}

func TestEveryCauseNeedsItsEffect(t *testing.T) {
	yes := func(b bool) bool { return b }
	series := func(s string) Series[bool] {
		values := make([]bool, len(s))
		var gaps []int
		for i, c := range s {
			values[i] = c == '1'
			if c == '-' {
				gaps = append(gaps, i)
			}
		}
		return without(of(values...), gaps...).Is(yes)
	}
	for _, row := range []struct {
		name, cause, effect string
		want                Outcome
	}{
		{"the effect follows", "01000", "00100", Pass},
		{"the effect is there at once", "01000", "01000", Pass},
		{"the effect was there before", "00100", "11000", Fail},
		{"the effect comes late", "010000", "000010", Fail},
		{"one effect serves two causes", "01100", "00010", Pass},
		{"one of two causes has none", "0100100", "0010000", Fail},
		{"the cause never occurs", "00000", "11111", Inconclusive},
		{"the series ends too early", "00001", "00000", Inconclusive},
		{"what ends too early does not count", "10001", "01000", Pass},
		{"the effect may have been missed", "01000", "00-00", Inconclusive},
		{"the cause may have been missed", "1000-000", "1000000", Invalid},
		{"a missed cause could lack its effect", "1000-000", "10000000", Inconclusive},
		{"a missed cause has its effect", "10-00000", "10010000", Pass},
		{"a gap does not hide what is late", "01000", "00001", Fail},
	} {
		require.Equal(t, row.want, LeadsTo(series(row.cause), series(row.effect), 2*time.Second).Outcome, row.name)
	}
	half := series("1000-000").MinCoverage(0.5)
	LeadsTo(half, series("10000000"), 2*time.Second).Require(t)
}

func TestRatiosNeedADenominator(t *testing.T) {
	busy, total := of(1.0, 2, 3), of(2.0, 4, 6)
	RatioWithin(busy, total, 0.5, 0.5).Require(t)
	RatioWithin(busy, of(2.0, 4, 4), 0.5, 0.5).requireFail(t, 2)
	require.Equal(t, Inconclusive, RatioWithin(busy, of(2.0, 0, 6), 0.5, 0.5).Outcome)
	require.Equal(t, Inconclusive, RatioWithin(of(0.0, 0), of(0.0, 0), 0, 1).Outcome)
	RatioWithin(without(busy, 0), total, 0.5, 0.5).Require(t)
	require.Equal(t, Inconclusive, RatioWithin(without(busy, 0), without(total, 1), 0.5, 0.5).Outcome)
	SteadyWithin(Ratio(busy, total), 0, 0).Require(t)
	RatioWithin(of[uint32](3), of(-1.5), -2, -2).Require(t)
}

func TestStrictPatternsNeedEverySample(t *testing.T) {
	s := without(of(true, true, true, true), 2)
	require.Equal(t, Inconclusive, AlwaysTrue(s).Outcome)
	AlwaysTrue(s.MinCoverage(0.75)).Require(t)
	require.Equal(t, Inconclusive, Each(without(of(1, 2), 0)).AtLeast(1).Outcome)
	Each(without(of(1, 2), 0)).AtMost(1).requireFail(t, 1)
	Never(without(of(false, true), 0)).requireFail(t, 1)
}

func TestPhasesAreComparedByOneNumberEach(t *testing.T) {
	samples := every(0, 10, 20, 20, 50, 80)
	for i := range samples {
		samples[i].Phase.Step = 1 + i/3
	}
	s := Of(samples, func(n int) int { return n }).Named("x")
	for of, want := range map[Reduction]float64{Last: 4, Increase: 3, Rate: 3, Mean: 5, Greatest: 4} {
		PhaseRatioWithin(s, of, 2, 1, want, want).Require(t)
		require.Equal(t, Fail, PhaseRatioWithin(s, of, 2, 1, 0, want-0.5).Outcome)
	}
	require.Equal(t, Inconclusive, PhaseRatioWithin(s, First, 2, 1, 0, 9).Outcome, "the first value is 0")
	require.Equal(t, Inconclusive, PhaseRatioWithin(s, Last, 3, 1, 0, 9).Outcome, "there is no step 3")
	require.Equal(t, Inconclusive, PhaseRatioWithin(without(s, 1, 2), Increase, 2, 1, 0, 9).Outcome, "step 1 has one value")
	require.Contains(t, PhaseRatioWithin(s, Last, 3, 1, 1, 9).Reason, "no sample is of step 3")
	require.Equal(t, Inconclusive, PhaseRatioWithin(s, Last, 3, 1, 1, 9).Outcome, "what is not there is in no proportion")
	require.Equal(t, Inconclusive, PhaseRatioWithin(without(s, 0, 1), Last, 2, 1, 0, 9).Outcome, "a third of step 1 is too little")
	require.Contains(t, NonDecreasing(of[int]().Phase(7)).Reason, "there are samples of no phase")
	NonDecreasing(s.Phase(2)).Require(t)
	require.Contains(t, NonDecreasing(s.Phase(7)).Reason, "no sample is of step 7; there are samples of step 1, step 2")
}

// What one of two series asks for counts for both.
func TestEitherSeriesOfARatioSaysHowManySamplesItTakes(t *testing.T) {
	few, all := without(of(1, 1, 1), 1, 2), of(1, 1, 1)
	require.Equal(t, Inconclusive, RatioWithin(few, all, 1, 1).Outcome)
	RatioWithin(few.MinCoverage(0.2), all, 1, 1).Require(t)
	RatioWithin(few, all.MinCoverage(0.2), 1, 1).Require(t)
}
