package ktest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func dues(c Cadence) []time.Duration {
	var all []time.Duration
	for i := 0; ; i++ {
		at, ok := c.due(i)
		if !ok {
			return all
		}
		all = append(all, at)
	}
}

func TestCapturesOfACadenceAreEvenlySpacedInsideTheRun(t *testing.T) {
	const s = time.Second
	require.Equal(t, []time.Duration{3 * s, 5 * s, 7 * s}, dues(Cadence{Over: 10 * s, N: 3}))
	require.Equal(t, []time.Duration{5 * s}, dues(Cadence{Over: 10 * s, N: 1}), "the middle")
	require.Equal(t, []time.Duration{2 * s, 4 * s}, dues(Cadence{Over: 5 * s, Every: 2 * s}))
	for n := range 70 {
		c := Cadence{Over: 9_999_999_997, N: n + 1}
		require.NoError(t, c.check())
		all := dues(c)
		require.Len(t, all, n+1)
		require.Greater(t, all[0], c.Over/10)
		require.Less(t, all[n], c.Over-c.Over/10)
	}
}

func TestCapturesThatAreLateLeaveTheGuestTime(t *testing.T) {
	const ms = time.Millisecond
	require.Equal(t, 200*ms, apart(200*ms, 0), "the first")
	require.Equal(t, 300*ms, apart(300*ms, 201*ms), "in time")
	require.Equal(t, 349*ms, apart(300*ms, 299*ms), "the one before was late")
	require.Equal(t, 1050*ms, apart(300*ms, 1000*ms), "the one before was later than this")
}

func TestCadencesThatMakeNoSenseAreRefused(t *testing.T) {
	for want, c := range map[string]Cadence{
		"a cadence of N = 0, Every = 0s over 1s: say how many (N) or how often (Every)":                                                   {Over: time.Second},
		"a cadence of N = 2, Every = 1s over 1s: say how many or how often, not both":                                                     {Over: time.Second, N: 2, Every: time.Second},
		"a cadence of N = 2, Every = 0s over 0s: say how long the run takes (Over)":                                                       {N: 2},
		"a cadence of N = -1, Every = 0s over 1s: none of them can be negative: leave out what is not chosen":                             {Over: time.Second, N: -1},
		"a cadence of N = 8, Every = 0s over 1s: captures would be 88.888888ms apart, and 100ms is the least: at most 7 fit in that time": {Over: time.Second, N: 8},
		"a cadence of N = 1, Every = 0s over 100ms: captures would be 40ms apart, and 100ms is the least":                                 {Over: 100 * time.Millisecond, N: 1},
		"a cadence of N = 0, Every = 50ms over 0s: captures would be 50ms apart, and 100ms is the least":                                  {Every: 50 * time.Millisecond},
		"a cadence of N = 0, Every = 2s over 1s: no capture would be made":                                                                {Over: time.Second, Every: 2 * time.Second},
	} {
		err := c.check()
		require.EqualError(t, err, want)
		var wrong *CadenceError
		require.ErrorAs(t, err, &wrong)
		require.Equal(t, c, wrong.Cadence)
	}
}

func TestWhatACadenceMissesSaysWhy(t *testing.T) {
	require.EqualError(t, &NotReadyError{Waited: 950 * time.Millisecond},
		"no scheduler was attached when the capture was due, nor in the 950ms after that")
	err := &AbandonedError{Err: context.DeadlineExceeded}
	require.EqualError(t, err, "the cadence was given up: context deadline exceeded")
	require.True(t, errors.Is(err, context.DeadlineExceeded))
}
