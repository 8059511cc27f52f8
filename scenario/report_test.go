package scenario

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/scenario/internal/latency"
	"github.com/ktgen/ktgen/scenario/internal/wire"
)

func TestPercentilesAreThoseOfTheTimesToAnEighth(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		times := make([]int64, 1+random.IntN(200))
		var l Latencies
		l.counts = make([]uint64, latency.Buckets)
		for i := range times {
			times[i] = random.Int64N(1 << random.IntN(36))
			l.counts[latency.Bucket(times[i])]++
		}
		slices.Sort(times)
		require.EqualValues(t, len(times), l.Count())
		for _, p := range []int{1, 25, 50, 90, 99, 100} {
			exact := times[max((p*len(times)+99)/100-1, 0)]
			got := int64(l.Percentile(float64(p)))
			require.GreaterOrEqual(t, got, exact, "p%d", p)
			require.LessOrEqual(t, got, exact+exact/8, "p%d", p)
		}
	}
	require.Zero(t, Latencies{}.Percentile(50))
}

func TestStepsDivideWhatWorkersHaveDone(t *testing.T) {
	r := &Running{Workers: Workers{Kind: Spin, Cgroup: "box"}}
	r.tally.absorb([]wire.Stats{{Comm: "spin-0", Now: 1000, Age: 600, Runtime: 300, Iterations: 3, Gap: 50, Wakeups: []uint64{1, 2}}})
	first := r.tally.step(r)[0]
	r.tally.absorb([]wire.Stats{{Comm: "spin-0", Now: 1500, Age: 1100, Runtime: 700, Iterations: 10, Gap: 20, Wakeups: []uint64{1, 3, 0, 1}}})
	second := r.tally.step(r)[0]

	require.Equal(t, "box", second.Cgroup)
	require.Equal(t, []time.Duration{600, 500}, []time.Duration{first.Elapsed, second.Elapsed})
	require.Equal(t, []time.Duration{300, 400}, []time.Duration{first.Runtime, second.Runtime})
	require.Equal(t, []uint64{3, 7}, []uint64{first.Iterations, second.Iterations})
	require.Equal(t, []time.Duration{50, 20}, []time.Duration{first.LongestGap, second.LongestGap})
	require.EqualValues(t, 3, first.Wakeups.Count())
	require.EqualValues(t, 2, second.Wakeups.Count())
	require.InDelta(t, 0.8, second.Share(), 1e-9)

	require.Zero(t, r.tally.step(r)[0].LongestGap, "each gap is told once")

	r.tally.absorb(nil) // from an agent that has nothing to tell any more
	total := r.tally.total(r)[0]
	require.EqualValues(t, 1100, total.Elapsed)
	require.EqualValues(t, 50, total.LongestGap)
	require.EqualValues(t, 5, total.Wakeups.Count())
}

func TestSharesAreOfTheTimeThatAnyWorkerRan(t *testing.T) {
	stats := []Stats{{Cgroup: "a", Runtime: 10}, {Cgroup: "b", Runtime: 20}, {Cgroup: "a", Runtime: 10}}
	require.Equal(t, map[string]float64{"a": 0.5, "b": 0.5}, Shares(stats, func(s Stats) string { return s.Cgroup }))
	require.Equal(t, map[string]float64{"a": 0}, Shares([]Stats{{Cgroup: "a"}}, func(s Stats) string { return s.Cgroup }))
}

func TestReportsSayWhatWorkersDid(t *testing.T) {
	s := Stats{Name: "spin-0", Elapsed: 200, Runtime: 100, Iterations: 7, Waited: 3 * time.Microsecond, LongestGap: 9 * time.Microsecond}
	require.Contains(t, s.String(), "spin-0           50.0 % of a CPU, 7 iterations, waited 3µs, longest gap 9µs, wakeups ")
	require.Zero(t, (&Stats{Runtime: 5}).Share())
}
