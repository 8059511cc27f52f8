package series

import (
	"fmt"
	"math"
	"time"
)

// RateWithin judges whether a value changes at a rate from lo to hi, per
// second. An infinite bound leaves its side open.
//
//	fails         if the rate between any two values is outside
//	inconclusive  with fewer than 2 values, or a coverage below a half; if all
//	              samples are of the same time; if two of the same time have
//	              different values
//	invalid       if a bound is NaN or lo > hi
//
// Samples without a value are bridged: the rate between two samples is a mean
// of the rates in between, so that one outside means that a rate in between
// was.
func RateWithin[V Number](s Series[V], lo, hi float64) Verdict {
	j := newJudge(s, fmt.Sprintf("RateWithin(%v, %v)", lo, hi), rule{values: 2, coverage: bridged})
	j.checkBounds(lo, hi)
	r := rates[V]{judge: j, lo: lo, hi: hi}
	var prior, instant []int
	for i := range j.known() {
		if len(instant) > 0 && (j.moment(i).Time() != j.moment(instant[0]).Time() || j.visit(i) != j.visit(instant[0])) {
			prior, instant = r.extremes(instant), prior[:0]
		}
		instant = append(instant, i)
		r.compare(prior, i)
	}
	r.extremes(instant)
	if r.pairs == 0 {
		j.doubt("all values are of the same time, or alone in it")
	}
	return j.verdict()
}

// rates judges the rates of a series. It suffices to compare the values of one
// instant with those of the next, and of each instant the least and the
// greatest.
type rates[V Number] struct {
	*judge[V]
	lo, hi float64 // per second
	pairs  int
}

// extremes returns the samples of one instant with the least and the greatest
// value. If they differ the rate is not defined.
func (r *rates[V]) extremes(instant []int) []int {
	if len(instant) == 0 {
		return instant
	}
	least, greatest := instant[0], instant[0]
	for _, i := range instant {
		if r.value(i) < r.value(least) {
			least = i
		}
		if r.value(i) > r.value(greatest) {
			greatest = i
		}
	}
	if r.value(least) == r.value(greatest) {
		return append(instant[:0], least)
	}
	r.doubt("%s and %s are values of the same time", r.at(least), r.at(greatest))
	return append(instant[:0], least, greatest)
}

// compare judges the rates from the samples of an earlier instant to sample i.
func (r *rates[V]) compare(prior []int, i int) {
	for _, p := range prior {
		if r.visit(p) != r.visit(i) {
			continue // something else was done in between
		}
		r.pairs++
		rate := perSecond(difference(r.value(p), r.value(i)), r.moment(i).Time()-r.moment(p).Time())
		if rate < r.lo || rate > r.hi {
			r.violate(i, p, "%s/s %s/s, from %s to %s%s",
				text(rate, r.lo, r.hi), outside(rate < r.lo, r.lo, r.hi), r.at(p), r.at(i), r.across(p, i))
			return
		}
	}
}

// perSecond divides in a way that is exact for counts below 2^32, so that a
// rate that equals a bound is within it.
func perSecond(delta float64, d time.Duration) float64 {
	if scaled := delta * float64(time.Second); !math.IsInf(scaled, 0) {
		return scaled / float64(d)
	}
	return delta / float64(d) * float64(time.Second)
}

// outside says which bound a value is beyond.
func outside(below bool, lo, hi any) string {
	if below {
		return fmt.Sprintf("is less than %v", lo)
	}
	return fmt.Sprintf("is more than %v", hi)
}

// checkBounds rejects bounds that no number is between.
func (j *judge[V]) checkBounds(lo, hi float64) {
	switch {
	case math.IsNaN(lo) || math.IsNaN(hi):
		j.reject("a bound is NaN")
	case lo > hi:
		j.reject("the lower bound %v is above the upper bound %v", lo, hi)
	case math.IsInf(lo, 1) || math.IsInf(hi, -1):
		j.reject("no number is between the bounds %v and %v", lo, hi)
	}
}
