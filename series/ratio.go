package series

import (
	"errors"
	"fmt"
	"strings"
)

// Ratio returns the series of a/b. Where either has no value, or b is 0, it
// has none. If the two are not of the same captures, verdicts on it are
// invalid.
func Ratio[A, B Number](a Series[A], b Series[B]) Series[float64] {
	n := name(func() string { return a.Name() + " / " + b.Name() })
	err := errors.Join(a.err, b.err)
	if err == nil {
		err = aligned(a, b)
	}
	if err != nil {
		return Series[float64]{name: n, err: err}
	}
	points := make([]Point[float64], len(a.points))
	for i := range points {
		points[i].Moment, points[i].visit = a.points[i].Moment, a.points[i].visit
		points[i].Value, points[i].Err = divide(&a.points[i], &b.points[i])
	}
	out := newSeries(n, points)
	out.origin = a.origin
	out.minimum = a.minimum.stricter(b.minimum)
	return out
}

func divide[A, B Number](a *Point[A], b *Point[B]) (float64, error) {
	switch {
	case a.Err != nil:
		return 0, a.Err
	case b.Err != nil:
		return 0, b.Err
	case b.Value == 0:
		return 0, &ZeroDenominatorError{}
	}
	return float64(a.Value) / float64(b.Value), nil
}

// stricter returns a minimum that satisfies both.
func (m minimum) stricter(other minimum) minimum {
	return minimum{
		samples:  max(m.samples, other.samples),
		coverage: max(m.coverage, other.coverage),
		set:      m.set || other.set,
	}
}

// RatioWithin judges whether two values stay in proportion: a/b from lo to hi.
// An infinite bound leaves its side open.
//
//	fails         if a ratio is outside
//	inconclusive  without samples, if a denominator is 0, or with a coverage
//	              below a half; both values count as one
//	invalid       if a bound is NaN, if lo > hi, or if the series are not of the
//	              same captures
func RatioWithin[A, B Number](a Series[A], b Series[B], lo, hi float64) Verdict {
	j := newJudge(Ratio(a, b), fmt.Sprintf("RatioWithin(%v, %v)", lo, hi), rule{values: 1, coverage: bridged})
	j.checkBounds(lo, hi)
	for i, ratio := range j.known() {
		if ratio < lo || ratio > hi {
			j.violate(i, -1, "%s %s: %s / %s at %s", text(ratio, lo, hi), outside(ratio < lo, lo, hi),
				text(a.points[i].Value), text(b.points[i].Value), j.moment(i))
		}
	}
	if zeros := zeroDenominators(j.series); len(zeros) > 0 {
		j.doubt("the denominator is 0 at %s", strings.Join(clip(zeros, maxReasons), ", "))
	}
	return j.verdict()
}

// zeroDenominators returns the moments at which a ratio divides by 0.
func zeroDenominators(s Series[float64]) []string {
	var moments []string
	for i := range s.points {
		if _, ok := errors.AsType[*ZeroDenominatorError](s.points[i].Err); ok {
			moments = append(moments, s.points[i].Moment.String())
		}
	}
	return moments
}

// aligned returns an error unless two series are of the same captures.
func aligned[A, B any](a Series[A], b Series[B]) error {
	e := &MisalignedError{A: a.Name(), B: b.Name()}
	if len(a.points) != len(b.points) {
		e.Reason = fmt.Sprintf("one has %s, the other %d", count(len(a.points), "sample"), len(b.points))
		return e
	}
	for i := range a.points {
		if m, n := a.points[i].Moment, b.points[i].Moment; m != n {
			e.Reason = fmt.Sprintf("sample %d is %s in one and %s in the other", i, m, n)
			return e
		}
	}
	return errors.Join(a.err, b.err)
}
