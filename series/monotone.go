package series

import (
	"cmp"
	"fmt"
)

// NonDecreasing judges whether a value never falls.
//
//	fails         if a value is smaller than any value before it
//	inconclusive  with fewer than 2 values, or a coverage below a half
//
// Samples without a value do not hide a fall: the values on both sides of them
// are compared.
func NonDecreasing[V cmp.Ordered](s Series[V]) Verdict {
	j := newJudge(s, "NonDecreasing", rule{values: 2, coverage: bridged})
	for prior, at := range j.neighbours() {
		if j.value(at) < j.value(prior) {
			advice := ""
			if j.restarted(prior, at) {
				advice = ": NonDecreasingWithResets allows for that"
			}
			j.violate(at, prior, "%s%s", j.less(at, prior), advice)
		}
	}
	return j.verdict()
}

// StrictlyIncreasing judges whether a value rises with every sample.
//
//	fails         if a value is not greater than every value before it
//	inconclusive  with fewer than 2 values, or a coverage below a half
//
// Samples without a value do not hide a fall or a standstill: the values on
// both sides of them are compared.
func StrictlyIncreasing[V cmp.Ordered](s Series[V]) Verdict {
	j := newJudge(s, "StrictlyIncreasing", rule{values: 2, coverage: bridged})
	for prior, at := range j.neighbours() {
		switch {
		case j.value(at) == j.value(prior):
			j.violate(at, prior, "%s is the same as at %s%s", j.at(at), j.moment(prior), j.across(prior, at))
		case j.value(at) < j.value(prior):
			j.violate(at, prior, "%s", j.less(at, prior))
		}
	}
	return j.verdict()
}

// NonDecreasingWithResets judges whether a counter never falls but for
// restarts, as when its scheduler is replaced. A fall to at most restarted is
// a restart: it is what the counter can reach from one sample to the next.
//
//	fails         if a value is smaller than the one before it and greater
//	              than restarted, or if there are more than resets restarts
//	inconclusive  with fewer than 2 values, or a coverage below a half
//	invalid       if resets is negative
//
// Samples without a value are bridged as in [NonDecreasing]. The restarts are
// in the verdict's notes.
func NonDecreasingWithResets[V cmp.Ordered](s Series[V], resets int, restarted V) Verdict {
	pattern := fmt.Sprintf("NonDecreasingWithResets(%d, %v)", resets, restarted)
	j := newJudge(s, pattern, rule{values: 2, coverage: bridged})
	if resets < 0 {
		j.reject("a number of resets is not negative")
	}
	if restarted != restarted {
		j.reject("the bound is NaN")
	}
	seen := 0
	for prior, at := range j.neighbours() {
		if j.value(at) >= j.value(prior) {
			continue
		}
		if j.value(at) > restarted {
			j.violate(at, prior, "%s, and more than the %v of a restart", j.less(at, prior), restarted)
			continue
		}
		if seen++; seen > resets {
			j.violate(at, prior, "%s, which is restart number %d", j.less(at, prior), seen)
			continue
		}
		j.note("restart: %s", j.less(at, prior))
	}
	return j.verdict()
}
