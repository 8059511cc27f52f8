package series

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// test records what a verdict does to a test.
type test struct {
	logged, failed string
	ended          bool
}

func (t *test) Helper()                           {}
func (t *test) Logf(format string, args ...any)   { t.logged += fmt.Sprintf(format, args...) }
func (t *test) Errorf(format string, args ...any) { t.failed += fmt.Sprintf(format, args...) }
func (t *test) FailNow()                          { t.ended = true }

func TestOnlyPassPassesATest(t *testing.T) {
	for _, row := range []struct {
		verdict Verdict
		want    Outcome
	}{
		{NonDecreasing(of(1, 2)), Pass},
		{NonDecreasing(of(2, 1)), Fail},
		{NonDecreasing(of[int]()), Inconclusive},
		{RateWithin(of(1, 2), 2, 1), Invalid},
		{Verdict{}, Inconclusive},
	} {
		var asserted, required test
		passes := row.want == Pass

		require.Equal(t, row.want, row.verdict.Outcome)
		require.Equal(t, passes, row.verdict.Assert(&asserted))
		require.Equal(t, passes, asserted.failed == "")
		require.False(t, asserted.ended)

		row.verdict.Require(&required)
		require.Equal(t, asserted.failed, required.failed)
		require.Equal(t, passes, !required.ended)

		require.Equal(t, passes, row.verdict.Err() == nil)
	}
}

func TestVerdictsAreErrorsForTestify(t *testing.T) {
	verdict := NonDecreasing(of(2, 1))
	var e *NotPassedError
	require.ErrorAs(t, verdict.Err(), &e)
	require.Equal(t, Fail, e.Verdict.Outcome)
	require.EqualError(t, verdict.Err(), verdict.String())
	require.NoError(t, NonDecreasing(of(1, 2)).Err())
}

func TestAPassWithGapsIsLogged(t *testing.T) {
	var quiet, noisy test
	NonDecreasing(of(1, 2, 3)).Require(&quiet)
	NonDecreasing(without(of(1, 2, 3), 1)).Require(&noisy)
	require.Empty(t, quiet.logged)
	require.Contains(t, noisy.logged, "periodic_001")
	require.Contains(t, noisy.logged, "pause timed out")
}

func TestVerdictsCarryWhatAPlotNeeds(t *testing.T) {
	v := NonDecreasing(without(of(3.5, 0, 1), 1))
	points := v.Points()
	require.Len(t, points, 3)
	require.Equal(t, 3.5, points[0].Value)
	require.Equal(t, "3.5", points[0].Text)
	require.True(t, math.IsNaN(points[1].Value))
	require.Error(t, points[1].Err)
	require.Equal(t, "periodic_002", points[2].Name)
	require.Equal(t, []Violation{{At: 2, Prior: 0, Text: v.Reason}}, v.Violations)
}

func TestNoDataIsInconclusiveForEveryPattern(t *testing.T) {
	patterns := map[string]func(Series[float64]) Verdict{
		"NonDecreasing":           NonDecreasing[float64],
		"StrictlyIncreasing":      StrictlyIncreasing[float64],
		"NonDecreasingWithResets": func(s Series[float64]) Verdict { return NonDecreasingWithResets(s, 1, 0) },
		"RateWithin":              func(s Series[float64]) Verdict { return RateWithin(s, math.Inf(-1), math.Inf(1)) },
		"SteadyWithin":            func(s Series[float64]) Verdict { return SteadyWithin(s, 0, 1) },
		"ConvergesTo":             func(s Series[float64]) Verdict { return ConvergesTo(s, 0, 1, time.Second) },
		"AlwaysTrue":              func(s Series[float64]) Verdict { return AlwaysTrue(s.Is(yes)) },
		"Never":                   func(s Series[float64]) Verdict { return Never(s.Is(no)) },
		"Eventually":              func(s Series[float64]) Verdict { return Eventually(s.Is(yes)) },
		"EventuallyWithin":        func(s Series[float64]) Verdict { return EventuallyWithin(s.Is(yes), time.Second) },
		"LeadsTo":                 func(s Series[float64]) Verdict { return LeadsTo(s.Is(yes), s.Is(yes), time.Second) },
		"RatioWithin":             func(s Series[float64]) Verdict { return RatioWithin(s, s, 0, 1) },
		"PhaseRatioWithin":        func(s Series[float64]) Verdict { return PhaseRatioWithin(s, Last, 0, 0, 0, 1) },
		"AtLeast":                 func(s Series[float64]) Verdict { return Each(s).AtLeast(0) },
		"AtMost":                  func(s Series[float64]) Verdict { return Each(s).AtMost(1) },
		"Between":                 func(s Series[float64]) Verdict { return Each(s).Between(0, 1) },
		"ByPhase":                 func(s Series[float64]) Verdict { return s.ByPhase().Every(NonDecreasing) },
	}
	for name, pattern := range patterns {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, Inconclusive, pattern(of[float64]()).Outcome, "no samples")
			require.Equal(t, Inconclusive, pattern(without(of(0.5, 0.5, 0.5, 0.5), 0, 1, 2, 3)).Outcome, "no values")
			require.Equal(t, Inconclusive, pattern(of(0.5, 0.5).After(time.Hour)).Outcome, "nothing after a warm-up")
			require.Equal(t, Inconclusive, pattern(of(0.25, 0.5).MinSamples(3)).Outcome, "less than the minimum")
			require.Equal(t, Invalid, pattern(of(0.5, math.NaN(), 0.5, 0.5)).Outcome, "NaN")
			require.Equal(t, Invalid, pattern(of(0.5, 0.5).MinCoverage(math.NaN())).Outcome, "NaN coverage")
			require.Equal(t, Invalid, pattern(of(0.5, 0.5).MinCoverage(1.5)).Outcome, "impossible coverage")
			require.Equal(t, Invalid, pattern(of(0.5, 0.5).MinSamples(-1)).Outcome, "negative minimum")
		})
	}
}

func yes(float64) bool { return true }
func no(float64) bool  { return false }

func TestBadArgumentsAreInvalid(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	s, other := of(1.0, 1.0, 1.0), of(1.0, 1.0)
	moved := every(1.0, 1.0, 1.0)
	moved[1].Name = "on_demand"
	renamed := Of(moved, func(v float64) float64 { return v })

	for _, v := range []Verdict{
		RateWithin(s, nan, 1), RateWithin(s, -1, nan), RateWithin(s, 1, -1), RateWithin(s, inf, inf), RateWithin(s, -inf, -inf),
		SteadyWithin(s, 0, nan), SteadyWithin(s, 0, -0.1), SteadyWithin(s, 0, inf), SteadyWithin(s, -1, 0.1),
		ConvergesTo(s, nan, 1, 1), ConvergesTo(s, inf, 1, 1), ConvergesTo(s, 1, nan, 1), ConvergesTo(s, 1, -1, 1), ConvergesTo(s, 1, 1, -1),
		RatioWithin(s, s, nan, 1), RatioWithin(s, s, 0, nan), RatioWithin(s, s, 2, 1),
		RatioWithin(s, other, 0, 2), RatioWithin(s, renamed, 0, 2),
		Each(s).AtLeast(nan), Each(s).AtMost(nan), Each(s).Between(nan, 1), Each(s).Between(2, 0),
		NonDecreasingWithResets(s, -1, 0), NonDecreasingWithResets(s, 1, nan),
		EventuallyWithin(s.Is(yes), -1), LeadsTo(s.Is(yes), s.Is(yes), -1),
		LeadsTo(s.Is(yes), other.Is(yes), 1), LeadsTo(s.Is(yes), renamed.Is(yes), 1),
		PhaseRatioWithin(s, Last, 0, 0, nan, 1), PhaseRatioWithin(s, Reduction(99), 0, 0, 0, 1),
	} {
		require.Equal(t, Invalid, v.Outcome, "%s", v)
		require.NotEmpty(t, v.Reason)
		require.Empty(t, v.Violations)
	}
}

func TestMisalignedSeriesSayWhere(t *testing.T) {
	samples := every(1, 1, 1)
	samples[2].Elapsed += time.Millisecond
	moved := Of(samples, func(n int) int { return n }).Named("y")
	require.Contains(t, RatioWithin(of(1, 1, 1), moved, 0, 1).Reason,
		"x and y are not of the same captures: sample 2 is periodic_002 (+2s) in one and periodic_002 (+2.001s) in the other")
	var e *MisalignedError
	require.True(t, errors.As(aligned(of(1), moved), &e))
}
