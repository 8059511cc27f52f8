package series

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// every makes a sample of each value, one second apart.
func every[V any](values ...V) []Sample[V] {
	samples := make([]Sample[V], len(values))
	for i, v := range values {
		samples[i] = Sample[V]{Moment: Moment{Name: fmt.Sprintf("periodic_%03d", i), Elapsed: time.Duration(i) * time.Second}, Value: v}
	}
	return samples
}

// of makes a series of values, one second apart.
func of[V any](values ...V) Series[V] {
	return Of(every(values...), func(v V) V { return v }).Named("x")
}

// without makes samples of a series ones without a value.
func without[V any](s Series[V], indices ...int) Series[V] {
	s.points = s.Points()
	for _, i := range indices {
		s.points[i].Err = &NoSnapshotError{Err: errors.New("pause timed out after 30s")}
	}
	return s
}

func TestReadsThatFailAreErrorsOfTheirSample(t *testing.T) {
	missing := &ktsnap.Error{Op: "Get", Path: "task_ctxs[7]", Err: &ktsnap.KeyNotFoundError{Map: "task_ctxs", Key: "7"}}
	read := func(n int) int {
		if n == 1 {
			panic(missing) // as a read of a snapshot does that is bound to no test
		}
		return n
	}
	points := Of(every(0, 1, 2), read).Points()

	require.NoError(t, points[0].Err)
	require.ErrorIs(t, points[1].Err, missing)
	require.NoError(t, points[2].Err)
	require.Equal(t, 2, points[2].Value)
}

func TestOtherPanicsPass(t *testing.T) {
	mistake := func(n []int) int { return n[3] }
	require.Panics(t, func() { Of(every([]int{1}), mistake) })
}

func TestProjectionsMayFail(t *testing.T) {
	absent := errors.New("no such path")
	points := TryOf(every(0, 1), func(n int) (int, error) {
		if n == 0 {
			return 0, absent
		}
		return n, nil
	}).Points()
	require.ErrorIs(t, points[0].Err, absent)
	require.NoError(t, points[1].Err)
}

func TestASampleWithoutAValueIsNotProjected(t *testing.T) {
	samples := every(1, 2)
	samples[0].Err = &NoSnapshotError{}
	calls := 0
	points := Of(samples, func(n int) int { calls++; return n }).Points()
	require.Equal(t, 1, calls)
	require.Equal(t, samples[0].Err, points[0].Err)
}

func TestSamplesAreOrderedByTime(t *testing.T) {
	samples := every(1, 2, 3, 4)
	samples[3].Elapsed = samples[1].Elapsed // as late as 2, and given after it
	samples[0], samples[2] = samples[2], samples[0]
	NonDecreasing(Of(samples, func(n int) int { return n }).Named("x")).requireFail(t, 3)

	var values []int
	for _, p := range Of(samples, func(n int) int { return n }).Points() {
		values = append(values, p.Value)
	}
	require.Equal(t, []int{1, 2, 4, 3}, values)
	require.Equal(t, 3, samples[0].Value, "the caller's samples are left alone")
}

// Each scenario of a run counts the time from its own beginning.
func TestSamplesOfSeveralScenariosAreInTheOrderOfTheRun(t *testing.T) {
	samples := every(0, 10, 20, 30)
	for i := range samples {
		samples[i].Began, samples[i].Elapsed = time.Duration(i/2)*2*time.Second, time.Duration(i%2)*time.Second
		samples[i].Phase = Phase{Step: i % 2}
	}
	s := Of(samples, func(n int) int { return n }).Named("x")
	NonDecreasing(s).Require(t)
	RateWithin(s, 10, 10).Require(t)
	require.Equal(t, Inconclusive, RateWithin(s.Phase(1), 10, 10).Outcome, "one sample of each scenario")
	require.Len(t, s.After(time.Second).Points(), 2, "of each scenario the second one")
	require.Len(t, s.Phase(1).After(time.Second).Points(), 1, "since the first sample of the phase")
}

// requireFail requires that a verdict is Fail with violations at samples.
func (v Verdict) requireFail(t *testing.T, at ...int) {
	t.Helper()
	require.Equal(t, Fail, v.Outcome, "%s", v)
	var got []int
	for _, violation := range v.Violations {
		got = append(got, violation.At)
	}
	require.Equal(t, at, got, "%s", v)
}

func TestValuesThatAreNotFiniteHaveNoValue(t *testing.T) {
	type load float32
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		var e *NotFiniteError
		require.ErrorAs(t, of(v).Points()[0].Err, &e)
		require.ErrorAs(t, of(load(v)).Points()[0].Err, &e)
	}
}

func TestPointsAreACopy(t *testing.T) {
	s := of(1, 2)
	s.Points()[1].Value = 0
	NonDecreasing(s).Require(t)
}

func TestWindowsCountFromTheBeginningOfThePhase(t *testing.T) {
	samples := every(9, 8, 1, 2, 3)
	for i := range samples {
		samples[i].Phase.Step = min(i/2, 1)
	}
	s := Of(samples, func(n int) int { return n })
	require.Equal(t, 3, s.After(2*time.Second).Len())
	require.Equal(t, 3, s.Until(2*time.Second).Len())
	require.Equal(t, 2, s.Phase(1).After(time.Second).Len())
	require.Equal(t, 2, s.Phase(1).Until(time.Second).Len())
}

func TestSeriesAreNamedByWhatTheyRead(t *testing.T) {
	type counters struct{ NrDispatched uint64 }
	samples := every(counters{1})
	double := func(s counters) uint64 {
		n := s.NrDispatched
		return 2 * n
	}

	require.Equal(t, "NrDispatched", Of(samples, func(s counters) uint64 { return s.NrDispatched }).Name())
	require.Equal(t, "1 + NrDispatched - NrDispatched", Of(samples, func(s counters) uint64 { return 1 + s.NrDispatched - s.NrDispatched }).Name())
	require.Equal(t, "dispatched", Of(samples, dispatched[counters]).Name())
	require.Regexp(t, `^series_test.go:\d+$`, Of(samples, double).Name())
	require.Equal(t, "nr", Of(samples, double).Named("nr").Name())
	require.Equal(t, "nr is n > 7", Of(samples, double).Named("nr").Is(func(n uint64) bool { return n > 7 }).Name())
	require.Equal(t, "series", Series[int]{}.Name())

	listed := PerKey(samples, func(s counters, add func(string, uint64)) {
		for _, key := range []string{"a", "b"} {
			add(key, s.NrDispatched)
		}
	})
	require.Equal(t, "NrDispatched[a]", listed.Key("a").Name())
}

func dispatched[S any](S) uint64 { return 1 }
