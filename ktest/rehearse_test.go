package ktest_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/scenario"
)

func TestARehearsalKeepsWhatIsMadeUp(t *testing.T) {
	s := scenario.Scenario{Steps: []scenario.Step{
		{Ops: []scenario.Op{scenario.Capture{Name: "one"}, scenario.Capture{Name: "none"}}, Hold: time.Minute},
		{Name: "ask", Until: &scenario.Condition{What: "it is there", Within: time.Minute, Snapshot: func(s *ktsnap.Snapshot) (bool, error) { return s.Name == "asked", nil }}},
		{Ops: []scenario.Op{scenario.Capture{Name: "two"}}},
	}}
	nothing := errors.New("nothing to show")
	report, captures, err := ktest.Rehearse(t.Context(), scenario.Machine{CPUs: 1}, s, func(name string) (*ktsnap.Snapshot, error) {
		if name == "none" {
			return nil, nothing
		}
		if name == "" {
			name = "asked"
		}
		return &ktsnap.Snapshot{Name: name}, nil
	})
	require.NoError(t, err)
	defer captures.Close()
	require.Len(t, report.Warnings(), 1)
	require.ErrorIs(t, report.Warnings()[0], nothing)
	require.Equal(t, 1, report.Steps[1].Looks)
	all := captures.Captures()
	require.Len(t, all, 3)
	require.ErrorIs(t, all[1].NoSnapshot, nothing, "the series says what is missing")
	require.Equal(t, time.Minute, all[2].Elapsed)
	require.Equal(t, 3, all[2].Phase.Step)
	snap, err := captures.Snapshot("two")
	require.NoError(t, err)
	require.Equal(t, "two", snap.Name)

	s.Steps = s.Steps[:1]
	report, captures, err = ktest.Rehearse(t.Context(), scenario.Machine{CPUs: 1}, s, nil)
	require.NoError(t, err)
	require.Len(t, report.Warnings(), 2)
	require.Empty(t, captures.Captures())
	require.NoError(t, captures.Close())
}
