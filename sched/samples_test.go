package sched_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/sched"
	"github.com/ktgen/ktgen/series"
)

func TestQueuesAndCPUsAreSeries(t *testing.T) {
	var snaps []*ktsnap.Snapshot
	for i := range 4 {
		w := newWhole()
		if i >= 2 {
			w.queued = w.queued[1:] // queue 5 is empty from then on
		}
		snap := w.snapshot()
		snap.Taken = time.Unix(int64(i+1), 0)
		snaps = append(snaps, snap)
	}
	samples := sched.Samples(series.Snapshots(snaps...))
	five := series.Of(samples, func(s *sched.State) int { return s.DSQ(5).Len() })
	series.Each(five).AtMost(1).Require(t)
	require.Equal(t, series.Fail, series.Each(five).AtLeast(1).Outcome)

	lengths := sched.QueueLengths(samples)
	require.ElementsMatch(t, []string{"local queue of CPU 1", "global queue", "queue 5"}, lengths.Keys())
	for i, p := range lengths.Key("queue 5").Points() {
		require.Equal(t, []int{1, 1, 0, 0}[i], p.Value)
	}
	require.Equal(t, []int{0, 1}, sched.RunnableTasks(samples).Keys())
	require.Equal(t, 4, series.Of(samples, func(s *sched.State) int { return s.DSQ(77).Len() }).Len(), "a queue that is not there ends nothing")
	for _, p := range series.Of(samples, func(s *sched.State) int { return s.DSQ(77).Len() }).Points() {
		var failed *sched.Error
		require.ErrorAs(t, p.Err, &failed)
		require.ErrorContains(t, p.Err, "there is no such queue")
	}
}
