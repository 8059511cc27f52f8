package series

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"time"

	"github.com/ktgen/ktgen/runtime"
)

// Series is one value over time: what a projection made of each sample of a
// run, ordered by time. It is immutable; its methods return others.
type Series[V any] struct {
	name    name
	points  []Point[V]
	origin  origin // what times that are given to patterns count from
	minimum minimum
	empty   string // why there are no points
	err     error  // why no question about it makes sense
}

// Point is a value of a series.
type Point[V any] struct {
	Moment
	Value V
	Err   error // why there is no Value

	visit int // of the samples of a phase: how often the phase was left before
}

// origin is what times count from: the beginning of a sample's scenario or, if it is a sample
// itself, when that was.
type origin struct {
	isSample bool
	at       time.Duration
}

func originAt(m Moment) origin { return origin{isSample: true, at: m.Time()} }

// to returns the time from the origin to a moment.
func (o origin) to(m Moment) time.Duration {
	if o.isSample {
		return m.Time() - o.at
	}
	return m.Elapsed
}

// minimum is how much has to be known for a pattern to pass.
type minimum struct {
	samples  int
	coverage float64 // of the samples; of the pattern's own choice if set is false
	set      bool
}

// Of projects samples to a series:
//
//	dispatched := series.Of(samples, func(s examplesched.Snap) uint64 { return s.Bss().NrDispatched })
//
// A read of a snapshot that fails is an error of that sample only; so that it
// can be, the snapshots have to be opened ([Open]) and not bound to a test.
//
// Messages call the series by what the projection reads, if they find its
// source, and otherwise by where it is; see [Series.Named].
func Of[S, V any](samples []Sample[S], project func(S) V) Series[V] {
	return project1(samples, nameOf(project), func(s S) (V, error) { return project(s), nil })
}

// TryOf is [Of] with a projection that can fail, such as one by a path.
func TryOf[S, V any](samples []Sample[S], project func(S) (V, error)) Series[V] {
	return project1(samples, nameOf(project), project)
}

func project1[S, V any](samples []Sample[S], n name, project func(S) (V, error)) Series[V] {
	samples = inOrder(samples)
	points := make([]Point[V], len(samples))
	for i, s := range samples {
		points[i].Moment = s.Moment
		points[i].Value, points[i].Err = value(s, project)
	}
	return newSeries(n, points)
}

// value projects one sample.
func value[S, V any](s Sample[S], project func(S) (V, error)) (v V, err error) {
	if s.Err != nil {
		return v, s.Err
	}
	if failed := runtime.Try(func() { v, err = project(s.Value) }); failed != nil {
		return v, failed
	}
	return v, err
}

func newSeries[V any](n name, points []Point[V]) Series[V] {
	markNotFinite(points)
	return Series[V]{name: n, points: points}
}

// markNotFinite turns values that are NaN or infinite into errors.
func markNotFinite[V any](points []Point[V]) {
	switch reflect.TypeFor[V]().Kind() {
	case reflect.Float32, reflect.Float64:
	default:
		return
	}
	for i := range points {
		if f := number(points[i].Value); points[i].Err == nil && (math.IsNaN(f) || math.IsInf(f, 0)) {
			points[i].Err = &NotFiniteError{Value: f}
		}
	}
}

// Named returns the series under a name for messages, such as the name of a
// field.
func (s Series[V]) Named(text string) Series[V] {
	s.name = named(text)
	return s
}

// Name returns what messages call the series.
func (s Series[V]) Name() string { return s.name.String() }

// Len returns the number of samples, those without a value included.
func (s Series[V]) Len() int { return len(s.points) }

// Points returns the values in order of time.
func (s Series[V]) Points() []Point[V] { return slices.Clone(s.points) }

// After returns the samples from a time on, such as the end of a warm-up.
// It counts from the beginning of the scenario; for the series of a phase or
// of an entity from their first sample.
func (s Series[V]) After(d time.Duration) Series[V] {
	out := s.keep(func(p *Point[V]) bool { return s.origin.to(p.Moment) >= d })
	if n := len(s.points); n > 0 && len(out.points) == 0 {
		out.empty = fmt.Sprintf("no sample is after %v; the last is %s", d, s.points[n-1].Moment)
	}
	return out
}

// Until returns the samples up to a time, which counts as it does in
// [Series.After].
func (s Series[V]) Until(d time.Duration) Series[V] {
	out := s.keep(func(p *Point[V]) bool { return s.origin.to(p.Moment) <= d })
	if len(s.points) > 0 && len(out.points) == 0 {
		out.empty = fmt.Sprintf("no sample is before %v; the first is %s", d, s.points[0].Moment)
	}
	return out
}

func (s Series[V]) keep(wanted func(*Point[V]) bool) Series[V] {
	var points []Point[V]
	for i := range s.points {
		if wanted(&s.points[i]) {
			points = append(points, s.points[i])
		}
	}
	s.points = points
	return s
}

// MinCoverage returns the series with another minimum of samples that have a
// value: a fraction of all, from 0 to 1. Below it patterns do not pass. It is
// the pattern's choice otherwise; see the table of the package.
func (s Series[V]) MinCoverage(fraction float64) Series[V] {
	if !(fraction >= 0 && fraction <= 1) {
		s.err = fmt.Errorf("MinCoverage(%v): a coverage is a fraction from 0 to 1", fraction)
	}
	s.minimum.coverage, s.minimum.set = fraction, true
	return s
}

// MinSamples returns the series with a minimum number of samples that have a
// value. Below it patterns do not pass.
func (s Series[V]) MinSamples(n int) Series[V] {
	if n < 0 {
		s.err = fmt.Errorf("MinSamples(%d): a number of samples is not negative", n)
	}
	s.minimum.samples = n
	return s
}

// Is turns a series into one of conditions. What has no value has no truth
// value either.
func (s Series[V]) Is(condition func(V) bool) Series[bool] {
	points := make([]Point[bool], len(s.points))
	for i := range s.points {
		p := &s.points[i]
		points[i] = Point[bool]{Moment: p.Moment, Err: p.Err}
		if p.Err == nil {
			points[i].Value = condition(p.Value)
		}
	}
	n := nameOf(condition)
	return Series[bool]{
		name:    func() string { return s.Name() + " is " + n.String() },
		points:  points,
		origin:  s.origin,
		minimum: s.minimum,
		empty:   s.empty,
		err:     s.err,
	}
}
