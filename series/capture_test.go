package series

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// snap is what stands for the Snap of generated code.
type snap struct{ name string }

func open(s *ktsnap.Snapshot, _ ...runtime.Option) (snap, error) {
	if s.Name == "foreign" {
		return snap{}, errors.New("another object was loaded")
	}
	return snap{s.Name}, nil
}

func TestOpenKeepsTheMomentAndTheReasonOfEveryCapture(t *testing.T) {
	timeout := errors.New("pause timed out after 30s")
	moment := func(name string) Moment {
		return Moment{Name: name, Elapsed: time.Second, Phase: Phase{Step: 2}, Trigger: Cadence}
	}
	samples := Open([]Capture{
		{Moment: moment("a"), Snapshot: &ktsnap.Snapshot{Name: "real"}},
		{Moment: moment("b"), NoSnapshot: timeout},
		{Moment: moment("c"), Snapshot: &ktsnap.Snapshot{Name: "foreign"}},
		{Moment: moment("d")},
	}, open)

	require.Equal(t, Sample[snap]{Moment: moment("a"), Value: snap{"real"}}, samples[0])
	require.Equal(t, moment("b"), samples[1].Moment)
	require.ErrorIs(t, samples[1].Err, timeout)
	require.EqualError(t, samples[1].Err, "there is no snapshot: pause timed out after 30s")
	require.EqualError(t, samples[2].Err, "another object was loaded")
	require.EqualError(t, samples[3].Err, "there is no snapshot")
}

func TestStatisticsTellAbsentFromUnreadable(t *testing.T) {
	type stats struct{ Busy float64 }
	refused := errors.New("connection refused")
	samples := Statistics[stats]([]Capture{
		{Statistics: []byte(`{"Busy": 12.5}`)},
		{NoStatistics: refused},
		{Statistics: []byte(`{"Busy": "high"}`)},
	})

	require.NoError(t, samples[0].Err)
	require.Equal(t, 12.5, samples[0].Value.Busy)
	var none *NoStatisticsError
	require.ErrorAs(t, samples[1].Err, &none)
	require.ErrorIs(t, samples[1].Err, refused)
	var mismatch *json.UnmarshalTypeError
	require.ErrorAs(t, samples[2].Err, &mismatch)
	require.False(t, errors.As(samples[2].Err, &none))
}

func TestSnapshotsDoNotCountTheTimeThatTheGuestStoodStill(t *testing.T) {
	start := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	snapshot := func(name string, after, paused, stop time.Duration) *ktsnap.Snapshot {
		return &ktsnap.Snapshot{Name: name, Taken: start.Add(after), Timing: ktsnap.Timing{Paused: paused, Stop: stop}}
	}
	captures := Snapshots(
		snapshot("a", 0, 110*time.Millisecond, 10*time.Millisecond),
		snapshot("b", 1100*time.Millisecond, 250*time.Millisecond, 50*time.Millisecond),
		nil,
		snapshot("c", 2300*time.Millisecond, 0, 0),
	)

	var elapsed []time.Duration
	for _, c := range captures {
		elapsed = append(elapsed, c.Elapsed)
	}
	require.Equal(t, []time.Duration{0, time.Second, time.Second, 2 * time.Second}, elapsed)
	require.Nil(t, captures[2].Snapshot)
	require.Error(t, captures[2].NoSnapshot)
	require.Equal(t, "c", captures[3].Name)
}

func TestTriggeredGoesByTheTriggerAndNotByTheName(t *testing.T) {
	captures := []Capture{
		{Moment: Moment{Name: "periodic_000", Trigger: Cadence}},
		{Moment: Moment{Name: "periodic_x", Trigger: OnDemand}},
		{Moment: Moment{Name: "nr_dispatched", Trigger: Watch}},
	}
	require.Equal(t, captures[:1], Triggered(captures, Cadence))
	require.Equal(t, captures[1:2], Triggered(captures, OnDemand))
	require.Empty(t, Triggered(captures, Event))
}

func TestMomentsPrintAsMessagesNameThem(t *testing.T) {
	for want, m := range map[string]Moment{
		"a (+0s)":                         {Name: "a"},
		"a (-20ms)":                       {Name: "a", Elapsed: -20 * time.Millisecond},
		"a (+1.235s, step 2)":             {Name: "a", Elapsed: 1234567890, Phase: Phase{Step: 2}},
		`a (+1.235ms, step 3 "overload")`: {Name: "a", Elapsed: 1234567, Phase: Phase{Step: 3, Name: "overload"}},
	} {
		require.Equal(t, want, m.String())
	}
	require.Equal(t, "baseline", Phase{}.String())
	require.Equal(t, "cadence", Cadence.String())
	require.Equal(t, "trigger 4", Trigger(4).String(), "the first that has no name")
}

func TestACaptureThatCannotBeReadBackSaysWhy(t *testing.T) {
	gone, kept := errors.New("its file is gone"), &ktsnap.Snapshot{Name: "kept"}
	c := Capture{Load: func() (*ktsnap.Snapshot, error) { return kept, nil }}
	got, err := c.Read()
	require.NoError(t, err)
	require.Same(t, kept, got)

	c.Load = func() (*ktsnap.Snapshot, error) { return nil, gone }
	_, err = c.Read()
	var none *NoSnapshotError
	require.ErrorAs(t, err, &none)
	require.ErrorIs(t, err, gone)
}
