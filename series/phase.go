package series

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Phase returns the samples of one step of the scenario; 0 is the baseline.
// Times that are given to patterns count from the first of them. Of a step that is gone
// through again the samples of all times are there; rates and increases are those of each time.
func (s Series[V]) Phase(step int) Series[V] {
	phase := Phase{Step: step}
	out := s.keep(func(p *Point[V]) bool { return p.Phase.Step == step })
	s.countVisits(out.points)
	out.name = s.name.suffixed(", " + phase.String())
	if len(out.points) == 0 {
		out.empty = fmt.Sprintf("no sample is of %s; there are samples of %s", phase, s.steps())
		return out
	}
	out.origin = originAt(out.points[0].Moment)
	return out
}

// countVisits says of the points of one step, which are of s, how often that was left before each.
func (s Series[V]) countVisits(points []Point[V]) {
	visit, n := 0, 0
	for i := range s.points {
		if n == len(points) || s.points[i].Phase.Step != points[n].Phase.Step {
			continue
		}
		if p := &s.points[i]; n > 0 && (s.points[i-1].Phase.Step != p.Phase.Step || s.points[i-1].Began != p.Began) {
			visit++
		}
		points[n].visit = visit
		n++
	}
}

// steps names the phases that samples are of.
func (s Series[V]) steps() string {
	var steps []string
	for i := range s.points {
		if step := (Phase{Step: s.points[i].Phase.Step}).String(); !slices.Contains(steps, step) {
			steps = append(steps, step)
		}
	}
	if len(steps) == 0 {
		return "no phase"
	}
	return strings.Join(steps, ", ")
}

// ByPhase splits the series by the steps of the scenario. A step that is gone
// through again is another series, of the same key.
func (s Series[V]) ByPhase() Group[Phase, V] {
	g := Group[Phase, V]{name: s.name, err: s.err, empty: "there are no samples"}
	lives := make(map[Phase]int)
	for start := 0; start < len(s.points); {
		phase := s.points[start].Phase
		end := start + 1
		for end < len(s.points) && s.points[end].Phase == phase {
			end++
		}
		lives[phase]++
		m := Member[Phase, V]{Key: phase, Life: lives[phase], Began: start > 0, Ended: end < len(s.points)}
		m.Series = s
		m.Series.points = s.points[start:end:end]
		m.Series.origin = originAt(s.points[start].Moment)
		m.Series.name = m.named(s.name)
		g.members = append(g.members, m)
		start = end
	}
	return g
}

// Reduction makes one number of the values of a phase.
type Reduction uint8

const (
	First    Reduction = iota // the first value
	Last                      // the last value
	Least                     // the least value
	Greatest                  // the greatest value
	Mean                      // the mean of the values
	Increase                  // the last value less the first; of a step that is gone through several times, the sum
	Rate                      // Increase, per second of the step
)

var reductionNames = [...]string{"First", "Last", "Least", "Greatest", "Mean", "Increase", "Rate"}

func (r Reduction) String() string {
	if int(r) < len(reductionNames) {
		return reductionNames[r]
	}
	return fmt.Sprintf("Reduction(%d)", uint8(r))
}

// reduce makes one number of what a judge knows. It returns false if there is
// not enough.
func reduce[V Number](j *judge[V], r Reduction) (float64, bool) {
	first, last, n := -1, -1, 0
	change, duration, pairs := j.increase(difference[V])
	least, greatest, m := math.Inf(1), math.Inf(-1), meanOf(j)
	for i, v := range j.known() {
		if n++; first < 0 {
			first = i
		}
		last = i
		least, greatest = min(least, float64(v)), max(greatest, float64(v))
	}
	if n == 0 {
		return 0, false
	}
	switch r {
	case First:
		return float64(j.value(first)), true
	case Last:
		return float64(j.value(last)), true
	case Least:
		return least, true
	case Greatest:
		return greatest, true
	case Mean:
		return m.sum / float64(m.n) * m.scale, true
	case Increase:
		return change, pairs > 0
	}
	return perSecond(change, duration), duration > 0
}

// increase returns how much a value rises while its step lasts, and how long that is: of a step that
// is gone through several times the sums. pairs is of how many values that is known.
func (j *judge[V]) increase(difference func(a, b V) float64) (change float64, duration time.Duration, pairs int) {
	first, last := -1, -1 // of one time
	add := func() {
		if first != last {
			change += difference(j.value(first), j.value(last))
			duration += j.moment(last).Time() - j.moment(first).Time()
		}
	}
	for i := range j.known() {
		if last >= 0 && j.visit(last) == j.visit(i) {
			last, pairs = i, pairs+1
			continue
		}
		add()
		first, last = i, i
	}
	add()
	return change, duration, pairs
}

// PhaseRatioWithin judges how a value in one step of the scenario compares
// with that in another: of(step a)/of(step b) from lo to hi. That the second
// scheduler takes at most half more than the first is
//
//	series.PhaseRatioWithin(migrations, series.Rate, 2, 1, 0, 1.5)
//
//	fails         if the ratio is outside
//	inconclusive  if a step has no samples with values, or only one where
//	              Increase and Rate take two, or a coverage below a half; if
//	              step b reduces to 0
//	invalid       if a bound is NaN, if lo > hi, or if the reduction is unknown
func PhaseRatioWithin[V Number](s Series[V], of Reduction, a, b int, lo, hi float64) Verdict {
	either := s.keep(func(p *Point[V]) bool { return p.Phase.Step == a || p.Phase.Step == b })
	pattern := fmt.Sprintf("PhaseRatioWithin(%s, %d, %d, %v, %v)", of, a, b, lo, hi)
	j := newJudge(either, pattern, rule{values: 1, coverage: witness})
	j.checkBounds(lo, hi)
	if int(of) >= len(reductionNames) {
		j.reject("there is no %s", of)
	}
	above, okA := reducePhase(j, s.Phase(a), of)
	below, okB := reducePhase(j, s.Phase(b), of)
	switch ratio := above / below; {
	case j.invalid != nil || !okA || !okB:
	case below == 0:
		j.doubt("%s of step %d is 0", of, b)
	case ratio < lo || ratio > hi:
		j.violate(j.lastOf(a), j.lastOf(b), "%s %s: %s is %s in step %d and %s in step %d",
			text(ratio, lo, hi), outside(ratio < lo, lo, hi), of, text(above), a, text(below), b)
	default:
		j.note("%s is %s in step %d and %s in step %d", of, text(above), a, text(below), b)
	}
	return j.verdict()
}

// reducePhase reduces the samples of one step, and doubts if there are not
// enough.
func reducePhase[V Number](j *judge[V], phase Series[V], r Reduction) (float64, bool) {
	step := newJudge(phase, "", rule{values: 1, coverage: bridged})
	if v := step.verdict(); v.Outcome != Pass {
		j.doubt("%s: %s", phase.Name(), v.Reason)
		return 0, false
	}
	f, ok := reduce(step, r)
	if !ok {
		j.doubt("%s: %s takes values of different times", phase.Name(), r)
	}
	return f, ok
}

// lastOf returns the index of the last value of a step.
func (j *judge[V]) lastOf(step int) int {
	last := -1
	for i := range j.known() {
		if j.moment(i).Phase.Step == step {
			last = i
		}
	}
	return last
}
