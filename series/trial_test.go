package series

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// This file makes random questions about random series. Everything is in whole
// numbers: a value v stands for v/scale, a time t for t/8 s; bounds are as
// values are, or eighths; tolerances and coverages are eighths.

const eighth = time.Second / 8

// observation is a sample of the oracle.
type observation struct {
	t, v  int
	known bool
	nan   bool
	step  int
	run   int // of the phase that is looked at, how often it was left before
}

// limit is an argument of a pattern.
type limit struct {
	n   int
	nan bool
}

func (l limit) over(scale int) float64 {
	if l.nan {
		return math.NaN()
	}
	return float64(l.n) / float64(scale)
}

// trial is a question about random data.
type trial struct {
	kind     kind
	a, b     []observation
	window   window
	cut      int // of the window
	lo, hi   limit
	tol      limit
	duration int
	resets   int
	coverage int // eighths; -1 if the pattern chooses
	samples  int
	of       Reduction
}

// kind is the type of values.
type kind int

const (
	floats kind = iota
	signed
	unsigned
)

// scale is what a value of an observation is divided by.
func (k kind) scale() int {
	if k == floats {
		return 8
	}
	return 1
}

// window is the part of a series that is judged.
type window int

const (
	whole window = iota
	after
	until
	phase
)

// randomness yields numbers from 0 to n-1.
type randomness func(n int) int

func newTrial(r randomness) *trial {
	c := &trial{kind: kind(r(3)), coverage: -1}
	c.a = observations(r, c.kind)
	c.b = parallel(r, c.a, c.kind)
	if r(3) == 0 {
		c.window = window(1 + r(3))
	}
	switch c.window {
	case after, until:
		c.cut = r(24)
	case phase:
		c.cut = r(4)
	}
	if r(16) == 0 {
		c.misalign(r)
	}
	c.lo = limit{n: r(64) - 48, nan: r(40) == 0}
	c.hi = limit{n: c.lo.n + r(80) - 4, nan: r(40) == 0}
	if c.kind == unsigned {
		c.lo.n, c.hi.n = max(c.lo.n, 0), max(c.hi.n, 0)
	}
	c.tol = limit{n: r(24) - 1, nan: r(40) == 0}
	c.duration = r(20) - 1
	c.resets = r(4) - 1
	if r(4) == 0 {
		c.coverage = r(9)
	}
	if r(8) == 0 {
		c.samples = r(6)
	}
	c.of = Reduction(r(8))
	return c
}

// observations makes a walk with gaps, duplicates of times and values, and
// seldom NaN.
func observations(r randomness, kind kind) []observation {
	obs := make([]observation, r(10))
	slope, noise, bad := r(3), r(4), r(4)
	t, v, step := r(4), r(12)-4*r(2), 0
	for i := range obs {
		if r(6) > 0 {
			t += r(5)
		}
		if r(4) == 0 {
			step = (step + 1) % 3
		}
		v += slope
		if r(4) < noise {
			v += r(9) - 4
		}
		if kind == unsigned {
			v = max(v, 0)
		}
		obs[i] = observation{t: t, v: v, known: r(8) >= bad, step: step}
		obs[i].nan = kind == floats && obs[i].known && r(120) == 0
	}
	return obs
}

// parallel makes other values for the same moments.
func parallel(r randomness, a []observation, kind kind) []observation {
	b := slices.Clone(a)
	bad, low := r(3), r(2)
	for i := range b {
		b[i].v = r(10) - 2*low
		if kind == unsigned {
			b[i].v = max(b[i].v, 0)
		}
		b[i].known = r(8) >= bad
		b[i].nan = kind == floats && b[i].known && r(200) == 0
	}
	return b
}

// misalign makes b a series of other captures.
func (c *trial) misalign(r randomness) {
	switch last := len(c.b) - 1; {
	case last < 0:
	case r(2) == 0:
		c.b = c.b[:last]
	default:
		c.b[last].t++
	}
}

// made returns a series of observations.
func made[V Number](c *trial, name string, obs []observation) Series[V] {
	points := make([]Point[V], len(obs))
	for i, o := range obs {
		points[i].Moment = Moment{Name: fmt.Sprint("s", i), Elapsed: time.Duration(o.t) * eighth, Phase: Phase{Step: o.step}}
		if !o.known {
			points[i].Err = errMissing
			continue
		}
		f := float64(o.v) / float64(c.kind.scale())
		if o.nan {
			f = math.NaN()
		}
		points[i].Value = V(f)
	}
	s := newSeries(named(name), points)
	switch c.window {
	case after:
		s = s.After(time.Duration(c.cut) * eighth)
	case until:
		s = s.Until(time.Duration(c.cut) * eighth)
	case phase:
		s = s.Phase(c.cut)
	}
	if c.coverage >= 0 {
		s = s.MinCoverage(float64(c.coverage) / 8)
	}
	return s.MinSamples(c.samples)
}

var errMissing = errors.New("missing")

// cutOut returns what of observations is in the window.
func (c *trial) cutOut(obs []observation) []observation {
	obs = slices.Clone(obs)
	for i := 1; i < len(obs) && c.window == phase; i++ {
		if obs[i].run = obs[i-1].run; obs[i].step != obs[i-1].step {
			obs[i].run++
		}
	}
	return slices.DeleteFunc(obs, func(o observation) bool {
		return c.window == after && o.t < c.cut || c.window == until && o.t > c.cut || c.window == phase && o.step != c.cut
	})
}

// seen returns what of observations is judged, with the times that patterns
// count.
func (c *trial) seen(obs []observation) []observation {
	out := c.cutOut(obs)
	if c.window != phase || len(out) == 0 {
		return out
	}
	begin := out[0].t
	for i := range out {
		out[i].t -= begin
	}
	return out
}
