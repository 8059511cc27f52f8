package series

import (
	"fmt"

	"github.com/ktgen/ktgen/runtime"
)

// Entities is the values of things that come and go, such as tasks, cgroups or
// CPUs: for each a series, and which of them each sample has.
type Entities[K comparable, V any] struct {
	Group[K, V]
	sampled []entitySample[K, V]
	keys    []K // by first appearance
}

// entitySample is what one sample has.
type entitySample[K comparable, V any] struct {
	Moment
	values map[K]V
	err    error // why values are not known
}

// PerKey projects samples to a series for each entity. list says what there is
// in a sample:
//
//	vtimes := series.PerKey(samples, func(s examplesched.Snap, add func(int32, uint64)) {
//		for pid, task := range s.TaskCtxs().All() {
//			add(pid, task.Vtime)
//		}
//	})
//	vtimes.Lasting(2).Every(series.NonDecreasing).Require(t)
//
// A read that fails, or a key that is added twice, is an error of the whole
// sample. What is absent from such a sample is not known to be gone: its series has no
// value there, unless a later sample shows that it is gone.
func PerKey[S any, K comparable, V any](samples []Sample[S], list func(s S, add func(K, V))) Entities[K, V] {
	return perKey(samples, nameOf(list), func(s S, add func(K, V)) error {
		list(s, add)
		return nil
	})
}

// TryPerKey is [PerKey] with a projection that can fail.
func TryPerKey[S any, K comparable, V any](samples []Sample[S], list func(s S, add func(K, V)) error) Entities[K, V] {
	return perKey(samples, nameOf(list), list)
}

func perKey[S any, K comparable, V any](samples []Sample[S], n name, list func(S, func(K, V)) error) Entities[K, V] {
	samples = inOrder(samples)
	e := Entities[K, V]{Group: Group[K, V]{name: n}}
	b := builder[K, V]{open: make(map[K]int), lives: make(map[K]int)}
	for i, s := range samples {
		sample := listed(s, list, &b.order)
		e.sampled = append(e.sampled, sample)
		b.add(i, e.sampled)
	}
	b.end(e.sampled)
	e.keys = b.keys
	for i := range b.members {
		m := &b.members[i]
		markNotFinite(m.Series.points)
		m.Series.origin = originAt(m.Series.points[0].Moment)
		m.Series.name = m.named(n)
	}
	e.members = b.members
	e.samples, e.empty = e.Count(), e.emptiness()
	return e
}

// emptiness says why there are no entities, if there are none.
func (e Entities[K, V]) emptiness() string {
	read := e.Count().values()
	switch {
	case len(e.sampled) == 0:
		return "there are no samples"
	case read == 0:
		return fmt.Sprintf("none of %s could be read", count(len(e.sampled), "sample"))
	}
	return fmt.Sprintf("nothing is in the %s that could be read", count(read, "sample"))
}

// listed lists the entities of one sample, in *order too.
func listed[S any, K comparable, V any](s Sample[S], list func(S, func(K, V)) error, order *[]K) entitySample[K, V] {
	out := entitySample[K, V]{Moment: s.Moment, err: s.Err}
	*order = (*order)[:0]
	if out.err != nil {
		return out
	}
	out.values = make(map[K]V)
	var twice error
	add := func(k K, v V) {
		if _, exists := out.values[k]; exists && twice == nil {
			twice = fmt.Errorf("the key %v was added twice", k)
		}
		out.values[k] = v
		*order = append(*order, k)
	}
	failed := runtime.Try(func() { out.err = list(s.Value, add) })
	for _, err := range []error{failed, twice} {
		if out.err == nil {
			out.err = err
		}
	}
	return out
}

// builder makes series of entities as they come and go.
type builder[K comparable, V any] struct {
	members []Member[K, V]
	keys    []K
	open    map[K]int // member whose life is not known to have ended
	last    []int     // by member: the last sample that has it
	lives   map[K]int
	order   []K  // keys of the sample that is added
	before  bool // a sample before was read
}

// add adds the last of the samples, which is number i.
func (b *builder[K, V]) add(i int, samples []entitySample[K, V]) {
	if samples[i].err != nil {
		return
	}
	for _, key := range b.order {
		m, open := b.open[key]
		if !open {
			m = b.begin(key, i)
		}
		b.extend(m, i, samples)
	}
	for key, m := range b.open {
		if b.last[m] != i {
			b.members[m].Ended = true
			delete(b.open, key)
		}
	}
	b.before = true
}

// begin begins a life.
func (b *builder[K, V]) begin(key K, i int) int {
	if b.lives[key] == 0 {
		b.keys = append(b.keys, key)
	}
	b.lives[key]++
	m := len(b.members)
	b.members = append(b.members, Member[K, V]{Key: key, Life: b.lives[key], Began: b.before})
	b.last = append(b.last, i-1)
	b.open[key] = m
	return m
}

// extend continues a series to sample i.
func (b *builder[K, V]) extend(m, i int, samples []entitySample[K, V]) {
	b.skip(m, i, samples)
	points := &b.members[m].Series.points
	*points = append(*points, Point[V]{Moment: samples[i].Moment, Value: samples[i].values[b.members[m].Key]})
	b.last[m] = i
}

// skip continues a series up to sample i, through samples that could not be read.
func (b *builder[K, V]) skip(m, i int, samples []entitySample[K, V]) {
	points := &b.members[m].Series.points
	for k := b.last[m] + 1; k < i; k++ {
		*points = append(*points, Point[V]{Moment: samples[k].Moment, Err: samples[k].err})
	}
}

// end continues the series of entities that are not known to be gone to the run's end.
func (b *builder[K, V]) end(samples []entitySample[K, V]) {
	for _, m := range b.open {
		b.skip(m, len(samples), samples)
	}
}

// Named returns the entities under a name for messages.
func (e Entities[K, V]) Named(text string) Entities[K, V] {
	e.Group = e.Group.Named(text)
	return e
}

// Keys returns the keys of all entities, by first appearance.
func (e Entities[K, V]) Keys() []K { return append([]K(nil), e.keys...) }

// Key returns the series of one entity over the whole run, all of its lives in
// one. Where it is absent there is no value.
func (e Entities[K, V]) Key(key K) Series[V] {
	return column(e, fmt.Sprintf("[%v]", key), func(s *entitySample[K, V]) (V, error) {
		v, exists := s.values[key]
		if !exists {
			return v, &AbsentError{Key: key}
		}
		return v, nil
	})
}

// Present returns whether an entity exists, for patterns such as [AlwaysTrue]
// and [Eventually].
func (e Entities[K, V]) Present(key K) Series[bool] {
	return column(e, fmt.Sprintf("[%v] is present", key), func(s *entitySample[K, V]) (bool, error) {
		_, exists := s.values[key]
		return exists, nil
	})
}

// Count returns how many entities there are.
func (e Entities[K, V]) Count() Series[int] {
	return column(e, ", number of entities", func(s *entitySample[K, V]) (int, error) {
		return len(s.values), nil
	})
}

// column makes a series of what the samples have.
func column[K comparable, V, W any](e Entities[K, V], suffix string, value func(*entitySample[K, V]) (W, error)) Series[W] {
	points := make([]Point[W], len(e.sampled))
	for i := range e.sampled {
		s := &e.sampled[i]
		points[i] = Point[W]{Moment: s.Moment, Err: s.err}
		if s.err == nil {
			points[i].Value, points[i].Err = value(s)
		}
	}
	return newSeries(e.name.suffixed(suffix), points)
}
