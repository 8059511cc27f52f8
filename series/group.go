package series

import (
	"fmt"
	"slices"
	"strings"
)

// Group is several series of one value: one for each entity, such as a task,
// or for each phase of a scenario.
type Group[K comparable, V any] struct {
	name    name
	members []Member[K, V]
	empty   string  // why there are no members
	samples plotted // what they would have been made of
	err     error   // why no question about it makes sense
}

// Member is a series of a group.
//
// The series of an entity goes from the first sample that has it to the last.
// An entity that is gone and comes back begins another life, with a series of
// its own: the kernel gives the number of a task that has ended to another.
type Member[K comparable, V any] struct {
	Key    K
	Life   int  // counted from 1
	Began  bool // a sample before the series lacks it; it is no older than the series
	Ended  bool // a sample after the series lacks it
	Series Series[V]
}

// named returns what messages call the series of a member.
func (m *Member[K, V]) named(group name) name {
	key, life := m.Key, m.Life
	return func() string {
		if life == 1 {
			return fmt.Sprintf("%s[%v]", group, key)
		}
		return fmt.Sprintf("%s[%v], life %d", group, key, life)
	}
}

// Named returns the group under a name for messages.
func (g Group[K, V]) Named(text string) Group[K, V] {
	g.name = named(text)
	g.members = slices.Clone(g.members)
	for i := range g.members {
		m := &g.members[i]
		m.Series.name = m.named(g.name)
	}
	return g
}

// Name returns what messages call the group.
func (g Group[K, V]) Name() string { return g.name.String() }

// Members returns the series, ordered by the time at which they begin.
func (g Group[K, V]) Members() []Member[K, V] { return slices.Clone(g.members) }

// Lasting returns the group without series that have less than n values. It
// leaves out what was there too briefly to be judged.
func (g Group[K, V]) Lasting(n int) Group[K, V] {
	if len(g.members) > 0 {
		g.empty = fmt.Sprintf("none of the %d series has %s", len(g.members), count(n, "value"))
	}
	g.members = slices.DeleteFunc(slices.Clone(g.members), func(m Member[K, V]) bool { return m.Series.values() < n })
	return g
}

func (s Series[V]) values() int {
	n := 0
	for i := range s.points {
		if s.points[i].Err == nil {
			n++
		}
	}
	return n
}

// Every judges each series of the group by a pattern:
//
//	vtimes.Every(series.NonDecreasing)
//	vtimes.Every(func(s series.Series[uint64]) series.Verdict { return series.RateWithin(s, 0, 1e9) })
//
//	passes        if the pattern passes for all series
//	invalid       if it is invalid for one
//	fails         otherwise, if it fails for one
//	inconclusive  otherwise; also if there are no series
//
// The verdicts on the series are the parts of the verdict.
func (g Group[K, V]) Every(pattern func(Series[V]) Verdict) Verdict {
	v := Verdict{Series: g.Name(), Pattern: "Every"}
	if len(g.members) == 0 {
		v.points = g.samples
	}
	if g.err != nil {
		v.Outcome, v.Reason = Invalid, g.err.Error()
		return v
	}
	outcomes := make(map[Outcome][]string)
	for i := range g.members {
		part := pattern(g.members[i].Series)
		v.Parts = append(v.Parts, part)
		v.Pattern = "Every " + part.Pattern
		v.Samples += part.Samples
		v.Known += part.Known
		outcomes[part.Outcome] = append(outcomes[part.Outcome], g.members[i].label())
	}
	v.Outcome, v.Reason = g.weigh(outcomes)
	return v
}

// label says which member a series is.
func (m *Member[K, V]) label() string {
	if m.Life == 1 {
		return fmt.Sprint(m.Key)
	}
	return fmt.Sprintf("%v (life %d)", m.Key, m.Life)
}

// weigh returns the worst outcome of all, and which series have it.
func (g Group[K, V]) weigh(outcomes map[Outcome][]string) (Outcome, string) {
	if len(g.members) == 0 {
		return Inconclusive, g.empty
	}
	for _, o := range []Outcome{Invalid, Fail, Inconclusive} {
		which := outcomes[o]
		if len(which) == 0 {
			continue
		}
		reason := fmt.Sprintf("in %d of %d series: %s", len(which), len(g.members), strings.Join(clip(which, maxListed), ", "))
		if o == Inconclusive {
			reason += "; Lasting leaves out series with few values"
		}
		return o, reason
	}
	return Pass, ""
}

// maxListed bounds the names that a message lists.
const maxListed = 8
