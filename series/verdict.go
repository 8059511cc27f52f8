package series

import (
	"errors"
	"math"
)

// Outcome is what a pattern concludes from a series.
type Outcome uint8

const (
	// Inconclusive: nothing breaks the pattern, and too little is known to say
	// that it holds.
	Inconclusive Outcome = iota
	Pass
	Fail
	// Invalid: the question makes no sense, because a bound is NaN or the
	// wrong way round, a projection returned NaN, or two series are not of the
	// same captures.
	Invalid
)

var outcomeNames = [...]string{"inconclusive", "pass", "fail", "invalid"}

func (o Outcome) String() string { return outcomeNames[o] }

// Verdict is what a pattern says about a series. It is a value: look at it,
// keep it, or hand it to a test with [Verdict.Require] or [Verdict.Assert].
// The zero Verdict is inconclusive.
type Verdict struct {
	Outcome    Outcome
	Series     string      // name of the series
	Pattern    string      // with its arguments: "RateWithin(10, 20)"
	Reason     string      // what decided; empty for Pass
	Violations []Violation // all of them, by time
	Notes      []string    // what else there is to know and did not decide

	Samples int // that were judged
	Known   int // of them, those that have a value

	Parts []Verdict // for a [Group], the verdicts on its series

	points plotted
	effect plotted // for LeadsTo
}

// Violation is a place in a series that breaks a pattern. At and Prior are
// indices into [Verdict.Points].
type Violation struct {
	At    int
	Prior int    // the sample that At was compared with; -1 if none was
	Text  string // what is wrong, with values and moments
}

// Passed tells whether the pattern holds.
func (v Verdict) Passed() bool { return v.Outcome == Pass }

// Err returns nil if the pattern holds and a [*NotPassedError] otherwise.
func (v Verdict) Err() error {
	if v.Passed() {
		return nil
	}
	return &NotPassedError{Verdict: v}
}

// NotPassedError is a verdict other than Pass, as an error.
type NotPassedError struct{ Verdict Verdict }

func (e *NotPassedError) Error() string { return e.Verdict.String() }

// TB is what a verdict needs of a test; [testing.TB] has it.
type TB interface {
	Helper()
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	FailNow()
}

// Require ends the test unless the pattern holds. That it could not be judged
// ends the test, too.
func (v Verdict) Require(t TB) {
	t.Helper()
	if !v.Assert(t) {
		t.FailNow()
	}
}

// Assert fails the test unless the pattern holds, lets it go on, and tells
// whether the pattern holds. It logs if there are samples without a value.
func (v Verdict) Assert(t TB) bool {
	t.Helper()
	switch {
	case !v.Passed():
		t.Errorf("%s", v)
	case v.Known < v.Samples || len(v.Notes) > 0:
		t.Logf("%s", v)
	}
	return v.Passed()
}

// PlotPoint is a point of a series for drawing.
type PlotPoint struct {
	Moment
	Value float64 // NaN if there is no value, or if it is not a number; false and true are 0 and 1
	Text  string  // the value as it is printed
	Err   error   // why there is no value
}

// plotted is a series of any type.
type plotted interface{ plot() []PlotPoint }

// Points returns the whole series that was judged, for drawing it. It is empty
// for the verdict on a [Group]; its parts have points.
func (v Verdict) Points() []PlotPoint {
	if v.points == nil {
		return nil
	}
	return v.points.plot()
}

// Effect returns, for the verdict of [LeadsTo], the series of the effect; its
// points are of the same samples as those of [Verdict.Points].
func (v Verdict) Effect() []PlotPoint {
	if v.effect == nil {
		return nil
	}
	return v.effect.plot()
}

func (s Series[V]) plot() []PlotPoint {
	out := make([]PlotPoint, len(s.points))
	for i := range s.points {
		p := &s.points[i]
		out[i] = PlotPoint{Moment: p.Moment, Value: math.NaN(), Err: p.Err}
		if p.Err == nil {
			out[i].Value, out[i].Text = number(p.Value), text(p.Value)
		}
		if e, ok := errors.AsType[*NotFiniteError](p.Err); ok {
			out[i].Text = text(e.Value)
		}
	}
	return out
}
