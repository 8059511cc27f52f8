package series

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
)

// rule is what a pattern asks of its data before it passes.
type rule struct {
	values   int     // that many samples have to have a value
	coverage float64 // that fraction of the samples has to; unless the series says otherwise
}

// The coverage that patterns ask for.
const (
	complete = 1.0 // what is not known could be the violation
	bridged  = 0.5 // what is not known is bridged by its neighbours
	witness  = 0.0 // one sample decides
)

// judge makes a verdict on a series.
type judge[V any] struct {
	series  Series[V]
	pattern string
	rule    rule
	from    int   // index of the first sample that is judged
	gaps    []int // by sample, those before it that have no value; see missingBefore

	violations []Violation
	invalid    error
	doubts     []string // what keeps it from passing
	notes      []string
}

func newJudge[V any](s Series[V], pattern string, r rule) *judge[V] {
	return &judge[V]{series: s, pattern: pattern, rule: r, invalid: s.err}
}

// reject says that the question makes no sense.
func (j *judge[V]) reject(format string, args ...any) {
	if j.invalid == nil {
		j.invalid = fmt.Errorf(format, args...)
	}
}

// violate records that sample at breaks the pattern, seen together with sample
// prior; that is -1 if sample at does so by itself.
func (j *judge[V]) violate(at, prior int, format string, args ...any) {
	j.violations = append(j.violations, Violation{At: at, Prior: prior, Text: fmt.Sprintf(format, args...)})
}

// doubt records what keeps the pattern from passing although nothing breaks it.
func (j *judge[V]) doubt(format string, args ...any) {
	j.doubts = append(j.doubts, fmt.Sprintf(format, args...))
}

func (j *judge[V]) note(format string, args ...any) {
	j.notes = append(j.notes, fmt.Sprintf(format, args...))
}

// known ranges over the values that are judged.
func (j *judge[V]) known() iter.Seq2[int, V] {
	return func(yield func(int, V) bool) {
		for i := j.from; i < len(j.series.points); i++ {
			if p := &j.series.points[i]; p.Err == nil && !yield(i, p.Value) {
				return
			}
		}
	}
}

// neighbours ranges over pairs of known values that no other known value
// separates.
func (j *judge[V]) neighbours() iter.Seq2[int, int] {
	return func(yield func(int, int) bool) {
		prior := -1
		for i := range j.known() {
			if prior >= 0 && !yield(prior, i) {
				return
			}
			prior = i
		}
	}
}

func (j *judge[V]) value(i int) V       { return j.series.points[i].Value }
func (j *judge[V]) moment(i int) Moment { return j.series.points[i].Moment }
func (j *judge[V]) visit(i int) int     { return j.series.points[i].visit }
func (j *judge[V]) missing(i int) bool  { return j.series.points[i].Err != nil }

// at says a value, which is compared with others, and its moment.
func (j *judge[V]) at(i int, against ...V) string {
	return fmt.Sprintf("%s at %s", text(j.value(i), against...), j.moment(i))
}

// less says that the value at one sample is less than that at another.
func (j *judge[V]) less(at, prior int) string {
	return fmt.Sprintf("%s is less than %s%s", j.at(at, j.value(prior)), j.at(prior, j.value(at)), j.across(prior, at))
}

// across says how many samples without a value are between two others, and whether the
// scheduler was started again, with its variables as they are at first.
func (j *judge[V]) across(prior, at int) string {
	s := ""
	if missing := j.missingBefore(at) - j.missingBefore(prior); missing > 0 {
		s = fmt.Sprintf(", across %s without a value", count(missing, "sample"))
	}
	if j.restarted(prior, at) {
		s += fmt.Sprintf("; its program has started the scheduler again in between (instance %d, then %d)", j.moment(prior).Instance, j.moment(at).Instance)
	}
	return s
}

func (j *judge[V]) restarted(prior, at int) bool {
	was, is := j.moment(prior).Instance, j.moment(at).Instance
	return was > 0 && is > 0 && was != is
}

// missingBefore returns how many samples before sample i have no value.
func (j *judge[V]) missingBefore(i int) int {
	if j.gaps == nil {
		j.gaps = make([]int, len(j.series.points)+1)
		for k := range j.series.points {
			j.gaps[k+1] = j.gaps[k]
			if j.missing(k) {
				j.gaps[k+1]++
			}
		}
	}
	return j.gaps[i]
}

// verdict weighs what was recorded: nonsense before violations, and violations
// before doubts.
func (j *judge[V]) verdict() Verdict {
	v := Verdict{Series: j.series.Name(), Pattern: j.pattern, Notes: j.notes, points: j.series}
	v.Samples = len(j.series.points) - j.from
	for range j.known() {
		v.Known++
	}
	if j.invalid != nil {
		j.violations = nil
	} else {
		j.checkFinite()
	}
	v.Violations = j.violations
	lacking := j.lacking(&v)
	switch {
	case j.invalid != nil:
		v.Outcome, v.Reason = Invalid, j.invalid.Error()
	case len(j.violations) > 0:
		v.Outcome, v.Reason = Fail, j.violations[0].Text
	case lacking != "":
		v.Outcome, v.Reason = Inconclusive, lacking
	case len(j.doubts) > 0:
		v.Outcome, v.Reason = Inconclusive, strings.Join(clip(j.doubts, maxReasons), "; ")
	default:
		v.Outcome = Pass
	}
	return v
}

// checkFinite makes the verdict invalid if a value is NaN or infinite.
func (j *judge[V]) checkFinite() {
	var bad []Violation
	for i := j.from; i < len(j.series.points); i++ {
		p := &j.series.points[i]
		if e, ok := errors.AsType[*NotFiniteError](p.Err); ok {
			bad = append(bad, Violation{At: i, Prior: -1, Text: fmt.Sprintf("%v at %s", e.Value, p.Moment)})
			j.reject("the value at %s is %v: does the projection divide by zero?", p.Moment, e.Value)
		}
	}
	if len(bad) > 0 {
		j.violations = bad
	}
}

// lacking says which data the pattern lacks to pass, and what to do about it.
func (j *judge[V]) lacking(v *Verdict) string {
	need := max(j.rule.values, j.series.minimum.samples)
	switch {
	case v.Samples == 0 && j.from > 0:
		return fmt.Sprintf("the warm-up takes in %s, which is all of them", count(j.from, "sample"))
	case v.Samples == 0 && j.series.empty != "":
		return j.series.empty
	case v.Samples == 0:
		return "there are no samples"
	case v.Known == 0:
		return fmt.Sprintf("none of %s has a value", count(v.Samples, "sample"))
	case v.Known < need:
		return fmt.Sprintf("%s, and it takes %d", j.have(v), need)
	}
	coverage := j.rule.coverage
	if j.series.minimum.set {
		coverage = j.series.minimum.coverage
	}
	if have := float64(v.Known) / float64(v.Samples); have < coverage {
		return fmt.Sprintf("%s (%.3g %%), and it takes %.3g %%; MinCoverage accepts less", j.have(v), 100*have, 100*coverage)
	}
	return ""
}

// maxReasons bounds the reasons that a message lists.
const maxReasons = 3

func (j *judge[V]) have(v *Verdict) string {
	if v.Known == v.Samples {
		return fmt.Sprintf("there %s", isAre(v.Known, "sample"))
	}
	return fmt.Sprintf("%d of %s %s a value", v.Known, count(v.Samples, "sample"), hasHave(v.Known))
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func isAre(n int, what string) string {
	if n == 1 {
		return "is 1 " + what
	}
	return "are " + count(n, what)
}

func hasHave(n int) string {
	if n == 1 {
		return "has"
	}
	return "have"
}

// clip returns the first n of some texts, and what says that there are more.
func clip(texts []string, n int) []string {
	if len(texts) <= n {
		return texts
	}
	return append(slices.Clone(texts[:n]), fmt.Sprintf("and %d more", len(texts)-n))
}
