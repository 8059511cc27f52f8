package series

import (
	"fmt"
	"math"
	"time"
)

// SteadyWithin judges whether a value stays near its mean once it has warmed
// up: within tolerance, a fraction of the mean. Values before warmup do not
// count, neither for the mean nor otherwise. warmup counts as in
// [Series.After].
//
//	fails         if a value is further from the mean
//	inconclusive  with fewer than 2 values after the warm-up, or a coverage of
//	              that time below a half
//	invalid       if tolerance is NaN, infinite or negative, or warmup negative
//
// No fraction of a mean of 0 is a tolerance: there, all values have to be 0.
func SteadyWithin[V Number](s Series[V], warmup time.Duration, tolerance float64) Verdict {
	j := newJudge(s, fmt.Sprintf("SteadyWithin(%v, %v)", warmup, tolerance), rule{values: 2, coverage: bridged})
	j.checkTolerance(tolerance)
	j.checkTime("warm-up", warmup)
	for j.from < len(s.points) && s.origin.to(s.points[j.from].Moment) < warmup {
		j.from++
	}
	m := meanOf(j)
	for i, v := range j.known() {
		if m.deviation(float64(v)) > tolerance {
			j.violate(i, -1, "%s is %s off the mean %s of %s",
				j.at(i), m.distance(float64(v), tolerance), text(m.sum/float64(m.n)*m.scale), count(m.n, "value"))
		}
	}
	return j.verdict()
}

// mean is a mean that is not divided yet, so that it is exact as long as the
// sum is.
type mean struct {
	n     int
	sum   float64 // of values divided by scale
	scale float64 // a power of two
}

func meanOf[V Number](j *judge[V]) mean {
	m := mean{scale: 1}
	for _, v := range j.known() {
		if math.Abs(float64(v)) > 0x1p900 {
			m.scale = 0x1p100 // the sum of the values themselves could overflow
		}
	}
	for _, v := range j.known() {
		m.n++
		m.sum += float64(v) / m.scale
	}
	return m
}

// deviation returns how far v is from the mean, as a fraction of the mean.
func (m mean) deviation(v float64) float64 {
	distance := math.Abs(v/m.scale*float64(m.n) - m.sum)
	if distance == 0 {
		return 0
	}
	return distance / math.Abs(m.sum)
}

// distance says how far v is from the mean.
func (m mean) distance(v, tolerance float64) string {
	if m.sum == 0 {
		return fmt.Sprintf("%v", math.Abs(v))
	}
	return fmt.Sprintf("%s %%", text(100*m.deviation(v), 100*tolerance))
}

func (j *judge[V]) checkTolerance(tolerance float64) {
	if !(tolerance >= 0) || math.IsInf(tolerance, 0) {
		j.reject("the tolerance %v is not a number from 0 on", tolerance)
	}
}

func (j *judge[V]) checkTime(what string, d time.Duration) {
	if d < 0 {
		j.reject("the %s %v is negative", what, d)
	}
}
