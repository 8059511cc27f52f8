package series

import (
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// This file judges random series twice: with the package, and by what its
// documentation says, spelled out over all samples and pairs of samples in
// whole numbers.

// claim is what the oracle finds.
type claim struct {
	invalid, fails bool
	undecided      bool // although there is enough data
	judged         []observation
	values         int // that it takes
	coverage       int // eighths that it takes
}

func (c *trial) outcome(k claim) Outcome {
	known, nan := 0, false
	for _, o := range k.judged {
		if o.known {
			known++
		}
		nan = nan || o.known && o.nan
	}
	if c.coverage >= 0 {
		k.coverage = c.coverage
	}
	// A sample that is NaN has no value, but that does not matter: it makes
	// the verdict invalid.
	switch {
	case k.invalid || nan:
		return Invalid
	case k.fails:
		return Fail
	case len(k.judged) == 0 || known < k.values || known < c.samples || 8*known < k.coverage*len(k.judged) || k.undecided:
		return Inconclusive
	}
	return Pass
}

// anyPair tells whether two known observations, in this order, satisfy f.
func anyPair(obs []observation, f func(a, b observation) bool) bool {
	for i, a := range obs {
		for _, b := range obs[i+1:] {
			if a.known && b.known && f(a, b) {
				return true
			}
		}
	}
	return false
}

// anyKnown tells whether a known observation satisfies f.
func anyKnown(obs []observation, f func(observation) bool) bool {
	return slices.ContainsFunc(obs, func(o observation) bool { return o.known && f(o) })
}

func badBand(c *trial) bool { return c.lo.nan || c.hi.nan || c.lo.n > c.hi.n }

func badTolerance(c *trial) bool { return c.tol.nan || c.tol.n < 0 }

// question is a pattern and what its documentation says.
type question struct {
	name string
	ask  func(c *trial) Verdict
	want func(c *trial) Outcome
}

func questions[V Number]() []question {
	a := func(c *trial) Series[V] { return made[V](c, "a", c.a) }
	b := func(c *trial) Series[V] { return made[V](c, "b", c.b) }
	f := func(c *trial, x limit) float64 { return x.over(c.kind.scale()) }
	d := func(c *trial) time.Duration { return time.Duration(c.duration) * eighth }
	yes := func(c *trial, s Series[V]) Series[bool] {
		return s.Is(func(v V) bool { return float64(v)*float64(c.kind.scale()) >= 4 })
	}
	return []question{
		{"NonDecreasing",
			func(c *trial) Verdict { return NonDecreasing(a(c)) },
			func(c *trial) Outcome {
				s := c.seen(c.a)
				return c.outcome(claim{judged: s, values: 2, coverage: 4, fails: anyPair(s, func(a, b observation) bool { return b.v < a.v })})
			}},
		{"StrictlyIncreasing",
			func(c *trial) Verdict { return StrictlyIncreasing(a(c)) },
			func(c *trial) Outcome {
				s := c.seen(c.a)
				return c.outcome(claim{judged: s, values: 2, coverage: 4, fails: anyPair(s, func(a, b observation) bool { return b.v <= a.v })})
			}},
		{"NonDecreasingWithResets",
			func(c *trial) Verdict { return NonDecreasingWithResets(a(c), c.resets, at[V](c, limit{n: restarted})) },
			wantResets},
		{"RateWithin",
			func(c *trial) Verdict { return RateWithin(a(c), f(c, c.lo), f(c, c.hi)) },
			func(c *trial) Outcome {
				s := c.seen(c.a)
				return c.outcome(claim{judged: s, values: 2, coverage: 4, invalid: badBand(c),
					fails: anyPair(s, func(a, b observation) bool {
						dv, dt := 8*(b.v-a.v), b.t-a.t
						return a.run == b.run && dt > 0 && (dv < c.lo.n*dt || dv > c.hi.n*dt)
					}),
					undecided: anyPair(s, func(a, b observation) bool { return a.run == b.run && a.t == b.t && a.v != b.v }) ||
						!anyPair(s, func(a, b observation) bool { return a.run == b.run && a.t != b.t }),
				})
			}},
		{"SteadyWithin",
			func(c *trial) Verdict { return SteadyWithin(a(c), d(c), c.tol.over(8)) },
			wantSteady},
		{"ConvergesTo",
			func(c *trial) Verdict { return ConvergesTo(a(c), f(c, c.hi), f(c, c.tol), d(c)) },
			wantConverges},
		{"Each.Between",
			func(c *trial) Verdict { return Each(a(c)).Between(at[V](c, c.lo), at[V](c, c.hi)) },
			func(c *trial) Outcome {
				s := c.seen(c.a)
				nan := c.kind == floats && (c.lo.nan || c.hi.nan)
				return c.outcome(claim{judged: s, values: 1, coverage: 8, invalid: nan || c.lo.n > c.hi.n,
					fails: anyKnown(s, func(o observation) bool { return o.v < c.lo.n || o.v > c.hi.n })})
			}},
		{"AlwaysTrue",
			func(c *trial) Verdict { return AlwaysTrue(yes(c, a(c))) },
			func(c *trial) Outcome {
				s := c.seen(c.a)
				return c.outcome(claim{judged: s, values: 1, coverage: 8, fails: anyKnown(s, func(o observation) bool { return o.v < 4 })})
			}},
		{"Never",
			func(c *trial) Verdict { return Never(yes(c, a(c))) },
			func(c *trial) Outcome {
				s := c.seen(c.a)
				return c.outcome(claim{judged: s, values: 1, coverage: 8, fails: anyKnown(s, func(o observation) bool { return o.v >= 4 })})
			}},
		{"Eventually",
			func(c *trial) Verdict { return Eventually(yes(c, a(c))) },
			func(c *trial) Outcome {
				s := c.seen(c.a)
				gaps := slices.ContainsFunc(s, func(o observation) bool { return !o.known })
				happens := anyKnown(s, func(o observation) bool { return o.v >= 4 })
				return c.outcome(claim{judged: s, values: 1, fails: len(s) > 0 && !gaps && !happens, undecided: !happens})
			}},
		{"EventuallyWithin",
			func(c *trial) Verdict { return EventuallyWithin(yes(c, a(c)), d(c)) },
			wantEventuallyWithin},
		{"LeadsTo",
			func(c *trial) Verdict { return LeadsTo(yes(c, a(c)), yes(c, b(c)), d(c)) },
			wantLeadsTo},
		{"RatioWithin",
			func(c *trial) Verdict { return RatioWithin(a(c), b(c), c.lo.over(8), c.hi.over(8)) },
			wantRatio},
		{"PhaseRatioWithin",
			func(c *trial) Verdict { return PhaseRatioWithin(a(c), c.of, 1, 2, c.lo.over(8), c.hi.over(8)) },
			wantPhaseRatio},
		{"ByPhase.Every",
			func(c *trial) Verdict { return a(c).ByPhase().Every(NonDecreasing) },
			wantByPhase},
	}
}

// at returns a bound in the type of the values.
func at[V Number](c *trial, l limit) V {
	if c.kind == floats {
		return V(l.over(c.kind.scale()))
	}
	return V(l.n)
}

// restarted is what a counter has at most after a restart.
const restarted = 2

func wantResets(c *trial) Outcome {
	s := c.seen(c.a)
	falls, fails := 0, false
	for i, b := range s {
		if !b.known {
			continue
		}
		for k := i - 1; k >= 0; k-- {
			if !s[k].known {
				continue
			}
			if b.v < s[k].v {
				falls++
				fails = fails || b.v > restarted
			}
			break
		}
	}
	return c.outcome(claim{judged: s, values: 2, coverage: 4, invalid: c.resets < 0, fails: fails || falls > c.resets})
}

func wantSteady(c *trial) Outcome {
	var judged []observation
	sum, n := 0, 0
	for _, o := range c.seen(c.a) {
		if o.t < c.duration {
			continue
		}
		judged = append(judged, o)
		if o.known {
			sum += o.v
			n++
		}
	}
	far := func(o observation) bool { return 8*abs(n*o.v-sum) > c.tol.n*abs(sum) }
	return c.outcome(claim{judged: judged, values: 2, coverage: 4, invalid: badTolerance(c) || c.duration < 0, fails: anyKnown(judged, far)})
}

func abs(n int) int { return max(n, -n) }

func wantConverges(c *trial) Outcome {
	s := c.seen(c.a)
	off := func(o observation) bool { return abs(o.v-c.hi.n) > c.tol.n }
	k := claim{judged: s, values: 1, coverage: 4, invalid: badTolerance(c) || c.hi.nan || c.duration < 0, undecided: true}
	for i, o := range s {
		lastInTime := o.t <= c.duration && !slices.ContainsFunc(s[i+1:], func(p observation) bool { return p.t <= c.duration })
		goesOn := s[len(s)-1].t >= c.duration
		if o.known && off(o) && (o.t > c.duration || lastInTime && goesOn) {
			k.fails = true
		}
		rest := 0
		for _, p := range s[i:] {
			if p.known {
				rest++
			}
		}
		if o.known && o.t <= c.duration && rest >= 3 && !anyKnown(s[i:], off) {
			k.undecided = false
		}
	}
	return c.outcome(k)
}

func wantEventuallyWithin(c *trial) Outcome {
	s := c.seen(c.a)
	var inTime []observation
	for _, o := range s {
		if o.t <= c.duration {
			inTime = append(inTime, o)
		}
	}
	happens := anyKnown(inTime, func(o observation) bool { return o.v >= 4 })
	gaps := slices.ContainsFunc(inTime, func(o observation) bool { return !o.known })
	goesOn := slices.ContainsFunc(s, func(o observation) bool { return o.t >= c.duration })
	return c.outcome(claim{judged: s, values: 1, invalid: c.duration < 0,
		fails: !happens && !gaps && goesOn && len(inTime) > 0, undecided: !happens})
}

func wantLeadsTo(c *trial) Outcome {
	s, e := c.seen(c.a), c.seen(c.b)
	k := claim{judged: s, values: 1, invalid: c.duration < 0 || !c.sameMoments()}
	if k.invalid || slices.ContainsFunc(e, func(o observation) bool { return o.known && o.nan }) {
		return Invalid
	}
	kept, undecided, broken := 0, 0, 0
	for i, o := range s {
		if o.known && o.v < 4 {
			continue
		}
		var due []observation
		for _, p := range e[i:] {
			if p.t-o.t <= c.duration {
				due = append(due, p)
			}
		}
		over := s[len(s)-1].t-o.t >= c.duration
		followed := anyKnown(due, func(p observation) bool { return p.v >= 4 })
		gaps := slices.ContainsFunc(due, func(p observation) bool { return !p.known })
		switch {
		case followed && o.known:
			kept++
		case followed, !over:
		case !o.known || gaps:
			undecided++
		default:
			broken++
		}
	}
	required := 8
	if c.coverage >= 0 {
		required = c.coverage
	}
	decided := kept + broken
	k.fails = broken > 0
	k.undecided = decided == 0 || 8*decided < required*(decided+undecided)
	return c.outcome(k)
}

// sameMoments tells whether the two series are of the same captures.
func (c *trial) sameMoments() bool {
	return slices.EqualFunc(c.cutOut(c.a), c.cutOut(c.b), func(a, b observation) bool { return a.t == b.t && a.step == b.step })
}

func wantRatio(c *trial) Outcome {
	a, b := c.seen(c.a), c.seen(c.b)
	k := claim{values: 1, coverage: 4, invalid: badBand(c) || !c.sameMoments()}
	if k.invalid {
		return Invalid
	}
	for i := range a {
		r := observation{known: a[i].known && b[i].known}
		if a[i].nan || a[i].known && b[i].nan {
			return Invalid
		}
		if r.known && b[i].v == 0 {
			r.known, k.undecided = false, true
		}
		if r.known {
			num, den := 8*a[i].v, b[i].v
			if den < 0 {
				num, den = -num, -den
			}
			k.fails = k.fails || num < c.lo.n*den || num > c.hi.n*den
		}
		k.judged = append(k.judged, r)
	}
	return c.outcome(k)
}

func wantPhaseRatio(c *trial) Outcome {
	var either []observation
	for _, o := range c.seen(c.a) {
		if o.step == 1 || o.step == 2 {
			either = append(either, o)
		}
	}
	k := claim{judged: either, values: 1, invalid: badBand(c) || int(c.of) >= len(reductionNames)}
	one, okOne := c.reduced(either, 1)
	two, okTwo := c.reduced(either, 2)
	switch {
	case k.invalid, !okOne, !okTwo, two.Sign() == 0:
		k.undecided = true
	default:
		ratio := new(big.Rat).Quo(one, two)
		k.fails = ratio.Cmp(big.NewRat(int64(c.lo.n), 8)) < 0 || ratio.Cmp(big.NewRat(int64(c.hi.n), 8)) > 0
	}
	return c.outcome(k)
}

// reduced reduces one phase, if there is enough of it.
func (c *trial) reduced(obs []observation, phase int) (*big.Rat, bool) {
	var all, known []observation
	for _, o := range obs {
		if o.step == phase {
			all = append(all, o)
			if o.known {
				known = append(known, o)
			}
		}
	}
	if c.outcome(claim{judged: all, values: 1, coverage: 4}) != Pass {
		return nil, false
	}
	values := make([]int, len(known))
	sum := 0
	for i, o := range known {
		values[i] = o.v
		sum += o.v
	}
	first, last := known[0], known[len(known)-1]
	switch c.of {
	case First:
		return big.NewRat(int64(first.v), 1), true
	case Last:
		return big.NewRat(int64(last.v), 1), true
	case Least:
		return big.NewRat(int64(slices.Min(values)), 1), true
	case Greatest:
		return big.NewRat(int64(slices.Max(values)), 1), true
	case Mean:
		return big.NewRat(int64(sum), int64(len(known))), true
	}
	change, duration, pairs := 0, 0, 0
	for _, run := range runsOf(obs, phase) {
		if len(run) > 1 {
			change, duration = change+run[len(run)-1].v-run[0].v, duration+run[len(run)-1].t-run[0].t
			pairs++
		}
	}
	switch {
	case c.of == Increase:
		return big.NewRat(int64(change), 1), pairs > 0
	case duration == 0:
		return nil, false
	}
	return big.NewRat(int64(change), int64(duration)), true
}

// runsOf returns the known values of each time that a phase is gone through.
func runsOf(obs []observation, phase int) (runs [][]observation) {
	inside := false
	for _, o := range obs {
		if o.step == phase && !inside {
			runs = append(runs, nil)
		}
		if inside = o.step == phase; inside && o.known {
			runs[len(runs)-1] = append(runs[len(runs)-1], o)
		}
	}
	return runs
}

func wantByPhase(c *trial) Outcome {
	s := c.seen(c.a)
	if len(s) == 0 {
		return Inconclusive
	}
	worst := Pass
	rank := map[Outcome]int{Pass: 0, Inconclusive: 1, Fail: 2, Invalid: 3}
	for start := 0; start < len(s); {
		end := start
		for end < len(s) && s[end].step == s[start].step {
			end++
		}
		run := s[start:end]
		got := c.outcome(claim{judged: run, values: 2, coverage: 4, fails: anyPair(run, func(a, b observation) bool { return b.v < a.v })})
		if rank[got] > rank[worst] {
			worst = got
		}
		start = end
	}
	return worst
}

var byKind = map[kind][]question{floats: questions[float64](), signed: questions[int64](), unsigned: questions[uint64]()}

func TestVerdictsEqualThoseOfABruteForceCheckerOn100000RandomSeries(t *testing.T) {
	source := rand.New(rand.NewPCG(6, 4))
	type tally map[Outcome]int
	tallies := make(map[string]tally)
	for n := range 100_000 {
		c := newTrial(source.IntN)
		q := byKind[c.kind][n%len(byKind[c.kind])]
		got, want := q.ask(c), q.want(c)
		if got.Outcome != want {
			t.Fatalf("trial %d, %s of %+v is %v, want %v: %s", n, q.name, c, got.Outcome, want, got)
		}
		if tallies[q.name] == nil {
			tallies[q.name] = make(tally)
		}
		tallies[q.name][want]++
	}
	for name, got := range tallies {
		t.Logf("%-24s %v", name, got)
		require.Greater(t, got[Pass], 100, name)
		require.Greater(t, got[Fail], 100, name)
		require.Greater(t, got[Inconclusive], 100, name)
		require.Greater(t, got[Invalid], 10, name)
	}
}

func FuzzVerdictsEqualThoseOfABruteForceChecker(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("0123456789 0123456789 0123456789"))
	f.Add([]byte{0, 1, 4, 2, 1, 3, 0, 9, 9, 9, 1, 1, 1, 0, 0, 5, 2})
	f.Fuzz(func(t *testing.T, data []byte) {
		c := newTrial(func(n int) int {
			if len(data) == 0 {
				return 0
			}
			b := data[0]
			data = data[1:]
			return int(b) % n
		})
		for _, q := range byKind[c.kind] {
			got, want := q.ask(c), q.want(c)
			if got.Outcome != want {
				t.Fatalf("%s of %+v is %v, want %v: %s", q.name, c, got.Outcome, want, got)
			}
		}
	})
}
