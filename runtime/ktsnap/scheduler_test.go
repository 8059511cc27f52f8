package ktsnap_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/runtime/ktsnap"
)

func TestSchedulerSaysInALineHowItIs(t *testing.T) {
	for want, s := range map[string]ktsnap.Scheduler{
		"scheduler not known":                                       {},
		"no scheduler":                                              {State: "disabled"},
		"scheduler enabled":                                         {State: "enabled"},
		`scheduler "x" enabled`:                                     {State: "enabled", Name: "x"},
		`scheduler "a\"\n" disabling`:                               {State: "disabling", Name: "a\"\n"},
		`scheduler "x" disabled: stall`:                             {State: "disabled", Name: "x", Reason: "stall"},
		`scheduler "x" (instance 2) enabled`:                        {State: "enabled", Name: "x", Instance: 2},
		`scheduler disabled: a: b`:                                  {State: "disabled", Reason: "a", Message: "b\n"},
		`scheduler "x" enabled, about to end: SCX_EXIT_ERROR_STALL`: {State: "enabled", Name: "x", Reason: "SCX_EXIT_ERROR_STALL"},
	} {
		require.Equal(t, want, s.String())
	}
	require.False(t, ktsnap.Scheduler{State: "enabled"}.Ends())
	require.False(t, ktsnap.Scheduler{}.Ends(), "it is not known")
	for _, s := range []ktsnap.Scheduler{{State: "disabled"}, {State: "disabling"}, {State: "enabled", Reason: "x"}} {
		require.True(t, s.Ends())
	}
}

func TestSchedulerSurvivesAFile(t *testing.T) {
	for _, want := range []ktsnap.Scheduler{{}, {State: "disabled"}, {State: "enabled", Name: "x\xff", Reason: "r", Message: "m\n", Instance: 3}} {
		var file bytes.Buffer
		_, err := (&ktsnap.Snapshot{Scheduler: want}).WriteTo(&file)
		require.NoError(t, err)
		got, err := ktsnap.Read(&file)
		require.NoError(t, err)
		require.Equal(t, want, got.Scheduler)
	}
}
