package series

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// Moment says when and why a capture was made.
type Moment struct {
	Name    string        // as it was given to the capture: periodic_003
	Elapsed time.Duration // since the scenario began, without the time that the guest stood still
	Due     time.Duration // of a capture in a cadence: the Elapsed that it was planned for
	Began   time.Duration // when the scenario began: of several in one run, each counts Elapsed from its own beginning
	Phase   Phase
	Trigger Trigger

	// Instance says which time the scheduler ran that its program had started, 1 for the
	// first; 0 if that is not known or it did not run.
	Instance int
}

// Time returns when the moment is in a run of several scenarios: Began and Elapsed.
func (m Moment) Time() time.Duration { return m.Began + m.Elapsed }

// String returns the moment as messages name it: "periodic_003 (+1.5s, step 2)".
func (m Moment) String() string {
	if m.Phase == (Phase{}) {
		return fmt.Sprintf("%s (%s)", m.Name, offset(m.Elapsed))
	}
	return fmt.Sprintf("%s (%s, %s)", m.Name, offset(m.Elapsed), m.Phase)
}

// offset writes a duration with its sign, and no finer than a reader needs.
func offset(d time.Duration) string {
	unit := time.Microsecond
	if d.Abs() >= time.Second {
		unit = time.Millisecond
	}
	if d < 0 {
		return d.Round(unit).String()
	}
	return "+" + d.Round(unit).String()
}

// Phase is the step of a scenario that a capture falls into.
type Phase struct {
	Step int    // counted from 1; 0 is the baseline, before the first step
	Name string // the step's; often empty
}

func (p Phase) String() string {
	switch {
	case p.Step == 0:
		return "baseline"
	case p.Name == "":
		return fmt.Sprintf("step %d", p.Step)
	}
	return fmt.Sprintf("step %d %q", p.Step, p.Name)
}

// Trigger says what made a capture.
type Trigger uint8

const (
	OnDemand Trigger = iota // the test asked for it
	Cadence                 // its time in an even cadence had come
	Watch                   // the guest wrote to a watched place
	Event                   // the scheduler ended or stalled, or a condition came true
)

var triggerNames = [...]string{"on demand", "cadence", "watch", "event"}

func (t Trigger) String() string {
	if int(t) < len(triggerNames) {
		return triggerNames[t]
	}
	return fmt.Sprintf("trigger %d", uint8(t))
}

// Capture is what one moment of a run left behind: a snapshot of the guest and
// the statistics that the scheduler reported with it, or why there is none.
type Capture struct {
	Moment

	Snapshot   *ktsnap.Snapshot
	Load       func() (*ktsnap.Snapshot, error) // reads a Snapshot that is kept elsewhere; else nil
	NoSnapshot error                            // why there is neither

	Statistics   []byte // JSON
	NoStatistics error  // why Statistics is empty
}

// Read returns the snapshot, from where it is kept. If there is none the error
// is a [*NoSnapshotError] with the reason.
func (c *Capture) Read() (*ktsnap.Snapshot, error) {
	if c.Snapshot != nil {
		return c.Snapshot, nil
	}
	if c.Load == nil {
		return nil, &NoSnapshotError{Err: c.NoSnapshot}
	}
	s, err := c.Load()
	if err != nil {
		return nil, &NoSnapshotError{Err: err}
	}
	return s, nil
}

// Triggered returns the captures that one trigger made.
func Triggered(captures []Capture, by Trigger) []Capture {
	var out []Capture
	for _, c := range captures {
		if c.Trigger == by {
			out = append(out, c)
		}
	}
	return out
}

// Snapshots makes captures of snapshots that a test took itself. Their time
// counts from the first of them and leaves out how long the guest stood still
// for each. A nil snapshot is a capture without one.
func Snapshots(snapshots ...*ktsnap.Snapshot) []Capture {
	captures := make([]Capture, len(snapshots))
	var start time.Time
	var stopped, last time.Duration
	for i, s := range snapshots {
		c := &captures[i]
		if s == nil {
			c.Moment = Moment{Name: fmt.Sprintf("snapshot %d", i), Elapsed: last}
			c.NoSnapshot = errors.New("it is nil")
			continue
		}
		if start.IsZero() {
			start = s.Taken
		}
		c.Moment = Moment{Name: s.Name, Elapsed: s.Taken.Sub(start) - stopped, Instance: s.Scheduler.Instance}
		c.Snapshot = s
		last = c.Elapsed
		stopped += s.Timing.Paused - s.Timing.Stop
	}
	return captures
}

// Sample is one moment of a run with what is known of it in a form that can be
// projected: a snapshot that is bound to generated code, or the scheduler's
// statistics.
type Sample[S any] struct {
	Moment
	Value S
	Err   error // why there is no Value
}

// Open binds the snapshots of captures to generated code, by its Open:
//
//	samples := series.Open(captures, examplesched.Open)
//
// A capture without a snapshot, or with one that does not fit the generated
// code, becomes a sample with an error: [*NoSnapshotError] or what open returned.
func Open[S any](captures []Capture, open func(*ktsnap.Snapshot, ...runtime.Option) (S, error), opts ...runtime.Option) []Sample[S] {
	return read(captures, func(c *Capture) (s S, err error) {
		snapshot, err := c.Read()
		if err != nil {
			return s, err
		}
		return open(snapshot, opts...)
	})
}

// Statistics decodes the statistics of captures, from JSON into T. A capture
// without statistics, or with other ones, becomes a sample with an error:
// [*NoStatisticsError], [*AbsentStatisticError], or one of encoding/json. A map has the
// members that there are: read it with the comma-ok form, or decode into a
// struct.
func Statistics[T any](captures []Capture) []Sample[T] {
	return read(captures, func(c *Capture) (v T, err error) {
		if len(c.Statistics) == 0 {
			return v, &NoStatisticsError{Capture: c.Name, Err: c.NoStatistics}
		}
		if err := json.Unmarshal(c.Statistics, &v); err != nil {
			return v, fmt.Errorf("decode the statistics of %q as %T: %w", c.Name, v, err)
		}
		if lacks := absentValue(c.Statistics, reflect.TypeFor[T](), ""); lacks != nil {
			lacks.Capture = c.Name
			var zero T
			return zero, lacks
		}
		return v, nil
	})
}

func read[S any](captures []Capture, value func(*Capture) (S, error)) []Sample[S] {
	samples := make([]Sample[S], len(captures))
	for i := range captures {
		samples[i].Moment = captures[i].Moment
		samples[i].Value, samples[i].Err = value(&captures[i])
	}
	return samples
}

// inOrder returns samples by time. Those of the same time keep their order.
func inOrder[S any](samples []Sample[S]) []Sample[S] {
	byTime := func(a, b Sample[S]) int { return cmp.Compare(a.Time(), b.Time()) }
	if slices.IsSortedFunc(samples, byTime) {
		return samples
	}
	samples = slices.Clone(samples)
	slices.SortStableFunc(samples, byTime)
	return samples
}
