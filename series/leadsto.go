package series

import (
	"fmt"
	"slices"
	"time"
)

// LeadsTo judges whether a cause has its effect in time: whenever cause is
// true at a sample, effect is true at that sample or at a later one that is at
// most within later.
//
//	passes        if the cause occurred and was always followed by the effect
//	fails         if the effect is false at every sample of that time, and the
//	              series goes on to the end of it
//	inconclusive  if the cause never occurred, or if a sample without a value
//	              could be a cause without effect, or the effect
//	invalid       if within is negative, or if the series are not of the same
//	              captures
//
// Causes whose time is not over when the series ends do not count; they are in
// the notes. With [Series.MinCoverage] on cause, a part of the causes may be
// undecided because of samples without a value.
func LeadsTo(cause, effect Series[bool], within time.Duration) Verdict {
	j := newJudge(cause, fmt.Sprintf("LeadsTo(%s, %v)", effect.Name(), within), rule{values: 1, coverage: witness})
	j.checkTime("time", within)
	if j.invalid == nil {
		j.invalid = aligned(cause, effect)
	}
	if j.invalid == nil {
		j.invalid = finite(effect)
	}
	if j.invalid != nil {
		return j.verdict()
	}
	l := response{judge: j, effect: effect.points, within: within}
	l.judgeCauses()
	l.conclude()
	v := j.verdict()
	v.effect = effect
	return v
}

// response judges causes and their effects.
type response struct {
	*judge[bool]
	effect []Point[bool]
	within time.Duration

	kept      int // causes with effect
	open      int // causes whose time the series ends in
	undecided int // samples that could be a cause without effect
	first     int // the first of those
}

// judgeCauses goes from the last sample to the first, to know for each the
// next sample with the effect and the next that may have it.
func (l *response) judgeCauses() {
	effect, unknown := -1, -1
	for i := len(l.effect) - 1; i >= 0; i-- {
		switch {
		case l.effect[i].Err != nil:
			unknown = i
		case l.effect[i].Value:
			effect = i
		}
		if l.missing(i) || l.value(i) {
			l.judgeCause(i, l.inTime(i, effect), l.inTime(i, unknown))
		}
	}
	slices.Reverse(l.violations)
}

// inTime tells whether sample at is in the time that a cause at sample i has.
func (l *response) inTime(i, at int) bool {
	return at >= 0 && l.effect[at].Time()-l.effect[i].Time() <= l.within
}

// judgeCause judges sample i, at which the cause occurs or may occur.
func (l *response) judgeCause(i int, effect, unknown bool) {
	end := l.effect[len(l.effect)-1].Time()
	switch {
	case effect && !l.missing(i):
		l.kept++
	case effect:
	case end-l.effect[i].Time() < l.within:
		l.open++
	case l.missing(i) || unknown:
		l.undecided++
		l.first = i
	default:
		l.violate(i, -1, "the cause at %s has no effect within %v", l.moment(i), l.within)
	}
}

// conclude judges what is not a violation.
func (l *response) conclude() {
	if l.open > 0 {
		l.note("%s not judged: the series ends within %v of it", notCounted(l.open), l.within)
	}
	required := complete
	if l.series.minimum.set {
		required = l.series.minimum.coverage
	}
	decided := l.kept + len(l.violations)
	switch {
	case decided == 0 && l.undecided == 0 && l.open > 0:
		l.doubt("the cause occurs only where the series ends within %v of it", l.within)
	case decided == 0 && l.undecided == 0:
		l.doubt("the cause never occurs")
	case float64(decided)/float64(decided+l.undecided) < required:
		l.doubt("%d of %s cannot be decided, the first at %s: a value is missing there, or of the effect in the %v after it",
			l.undecided, count(decided+l.undecided, "possible cause"), l.moment(l.first), l.within)
	case decided == 0:
		l.doubt("no cause could be decided")
	}
}

func notCounted(open int) string {
	if open == 1 {
		return "1 possible cause is"
	}
	return fmt.Sprintf("%d possible causes are", open)
}

// finite returns an error if a value of a series is NaN or infinite.
func finite[V any](s Series[V]) error {
	j := newJudge(s, "", rule{})
	j.checkFinite()
	return j.invalid
}
