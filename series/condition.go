package series

import (
	"fmt"
	"math"
	"time"
)

// AlwaysTrue judges whether a condition holds at every sample.
//
//	fails         if it is false at one
//	inconclusive  without samples, or if a sample has no value: that could be
//	              the one at which it is false
func AlwaysTrue(s Series[bool]) Verdict { return constantly(s, "AlwaysTrue", true) }

// Never judges whether a condition holds at no sample.
//
//	fails         if it is true at one
//	inconclusive  without samples, or if a sample has no value: that could be
//	              the one at which it is true
func Never(s Series[bool]) Verdict { return constantly(s, "Never", false) }

func constantly(s Series[bool], pattern string, want bool) Verdict {
	j := newJudge(s, pattern, rule{values: 1, coverage: complete})
	for i, v := range j.known() {
		if v != want {
			j.violate(i, -1, "%s", j.at(i))
		}
	}
	return j.verdict()
}

// Eventually judges whether a condition holds at some sample.
//
//	passes        if it is true at one
//	fails         if it is false at every sample
//	inconclusive  without samples, or if it is true at none and a sample has no
//	              value: that could be the one
func Eventually(s Series[bool]) Verdict { return eventually(s, "Eventually", math.MaxInt64) }

// EventuallyWithin judges whether a condition holds at some sample up to a
// time, which counts as in [Series.After].
//
//	passes        if it is true at one
//	fails         if it is false at every sample up to then, and the series
//	              goes on to that time or beyond
//	inconclusive  otherwise: the series ends before, or a sample up to then has
//	              no value
//	invalid       if within is negative
func EventuallyWithin(s Series[bool], within time.Duration) Verdict {
	return eventually(s, fmt.Sprintf("EventuallyWithin(%v)", within), within)
}

func eventually(s Series[bool], pattern string, within time.Duration) Verdict {
	j := newJudge(s, pattern, rule{values: 1, coverage: witness})
	j.checkTime("time", within)
	missing, last, n := 0, -1, 0
	for i := range s.points {
		p := &s.points[i]
		switch {
		case s.origin.to(p.Moment) > within:
		case p.Err != nil:
			missing++
		case p.Value:
			return j.verdict()
		default:
			last, n = i, n+1
		}
	}
	j.neverTrue(within, missing, n, last)
	return j.verdict()
}

// neverTrue judges a condition that in time is false at n samples, of which
// last is the last one, and has no value at some others.
func (j *judge[V]) neverTrue(within time.Duration, missing, n, last int) {
	end := len(j.series.points) - 1
	inTime := " in time"
	if within == math.MaxInt64 {
		inTime = ""
	}
	switch {
	case end < 0:
	case missing > 0:
		j.doubt("it is not true at any sample that has a value, and %s without one could be what it takes", count(missing, "sample"))
	case n == 0:
		j.doubt("there is no sample in that time")
	case inTime != "" && j.series.origin.to(j.moment(end)) < within:
		j.doubt("it is not true until %s, where the series ends before that time", j.moment(end))
	case n == 1:
		j.violate(last, -1, "false at the only sample%s, %s", inTime, j.moment(last))
	default:
		j.violate(last, -1, "false at all %s%s, the last of them %s", count(n, "sample"), inTime, j.moment(last))
	}
}
