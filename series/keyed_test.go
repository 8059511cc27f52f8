package series

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// tasks are what a snapshot has: values by pid.
type tasks map[int32]uint64

func listTasks(s tasks, add func(int32, uint64)) {
	for _, pid := range slices.Sorted(maps.Keys(s)) {
		add(pid, s[pid])
	}
}

// lost makes a sample of some that could not be captured.
func lost(samples []Sample[tasks], indices ...int) []Sample[tasks] {
	for _, i := range indices {
		samples[i] = Sample[tasks]{Moment: samples[i].Moment, Err: &NoSnapshotError{}}
	}
	return samples
}

func TestEntitiesComeAndGo(t *testing.T) {
	e := PerKey(every(
		tasks{1: 10, 2: 5},
		tasks{1: 20, 2: 6, 3: 1},
		tasks{1: 30, 3: 2},
		tasks{1: 40, 2: 0, 3: 3},
	), listTasks)

	type life struct {
		key          int32
		life, values int
		from         string
		began, ended bool
	}
	var got []life
	for _, m := range e.Members() {
		got = append(got, life{m.Key, m.Life, m.Series.Len(), m.Series.Points()[0].Name, m.Began, m.Ended})
	}
	require.Equal(t, []life{
		{1, 1, 4, "periodic_000", false, false},
		{2, 1, 2, "periodic_000", false, true},
		{3, 1, 3, "periodic_001", true, false},
		{2, 2, 1, "periodic_003", true, false},
	}, got)
	require.Equal(t, []int32{1, 2, 3}, e.Keys())
}

func TestAnotherLifeOfAPidIsNotARegression(t *testing.T) {
	e := PerKey(every(tasks{7: 100}, tasks{7: 200}, tasks{}, tasks{7: 1}, tasks{7: 2}), listTasks)
	e.Every(NonDecreasing).Require(t)
	NonDecreasing(e.Key(7)).requireFail(t, 3)
}

func TestALostSampleDoesNotEndALife(t *testing.T) {
	e := PerKey(lost(every(tasks{7: 100}, tasks{}, tasks{7: 50}), 1), listTasks)
	require.Len(t, e.Members(), 1)
	require.Equal(t, Fail, e.Every(NonDecreasing).Outcome)

	e = PerKey(lost(every(tasks{7: 100}, tasks{}, tasks{8: 1}), 1), listTasks)
	require.Equal(t, 1, e.Members()[0].Series.Len(), "a series ends with the last sample that has it")
	require.True(t, e.Members()[0].Ended)
}

// A run whose last captures failed says nothing of how it ended.
func TestLostSamplesAtTheEndAreNotPassedOver(t *testing.T) {
	run := every(tasks{7: 1, 8: 1}, tasks{7: 2}, tasks{7: 3}, tasks{7: 4}, tasks{7: 5}, tasks{7: 6})
	atLeast := func(s Series[uint64]) Verdict { return Each(s).AtLeast(1) }
	PerKey(run, listTasks).Every(atLeast).Require(t)

	e := PerKey(lost(run, 4, 5), listTasks)
	require.Equal(t, []int{6, 1}, []int{e.Members()[0].Series.Len(), e.Members()[1].Series.Len()})
	require.Equal(t, []bool{false, true}, []bool{e.Members()[0].Ended, e.Members()[1].Ended})
	require.Equal(t, Inconclusive, e.Every(atLeast).Outcome)
	require.Equal(t, Inconclusive, Each(e.Key(7)).AtLeast(1).Outcome)
}

func TestTooFewValuesOfOneEntityAreInconclusiveForAll(t *testing.T) {
	e := PerKey(every(tasks{1: 1}, tasks{1: 2, 2: 1}), listTasks)
	verdict := e.Every(NonDecreasing)
	require.Equal(t, Inconclusive, verdict.Outcome)
	require.Equal(t, []Outcome{Pass, Inconclusive}, []Outcome{verdict.Parts[0].Outcome, verdict.Parts[1].Outcome})
	e.Lasting(2).Every(NonDecreasing).Require(t)
	require.Contains(t, e.Lasting(3).Every(NonDecreasing).Reason, "none of the 2 series has 3 values")
	require.Len(t, e.Members(), 2, "Lasting leaves the group alone")
}

func TestNoEntitiesAreInconclusive(t *testing.T) {
	require.Equal(t, Inconclusive, PerKey(every(tasks{}, tasks{}), listTasks).Every(NonDecreasing).Outcome)
	require.Equal(t, Inconclusive, PerKey(lost(every(tasks{1: 1}), 0), listTasks).Every(NonDecreasing).Outcome)
	require.Equal(t, Inconclusive, PerKey(nil, listTasks).Every(NonDecreasing).Outcome)
}

func TestPresenceIsACondition(t *testing.T) {
	e := PerKey(lost(every(tasks{1: 1}, tasks{1: 1, 2: 1}, tasks{}, tasks{2: 1}), 2), listTasks)
	require.Equal(t, Inconclusive, AlwaysTrue(e.Present(2).After(time.Second)).Outcome)
	AlwaysTrue(e.Present(1)).requireFail(t, 3)
	Never(e.Present(9).MinCoverage(0.5)).Require(t)
	Each(e.Count().MinCoverage(0)).Between(1, 2).Require(t)
	require.Equal(t, Inconclusive, NonDecreasing(e.Key(9)).Outcome)
}

func TestAFailedReadLosesTheWholeSample(t *testing.T) {
	half := &ktsnap.Error{Op: "All", Path: "task_ctxs", Err: &ktsnap.IncompleteError{Map: "task_ctxs"}}
	e := PerKey(every(tasks{1: 1, 2: 1}, tasks{1: 2, 2: 2}, tasks{1: 3, 2: 3}), func(s tasks, add func(int32, uint64)) {
		add(1, s[1])
		if s[1] == 2 {
			panic(half)
		}
		add(2, s[2])
	})
	require.Len(t, e.Members(), 2)
	for _, m := range e.Members() {
		require.Equal(t, 1, m.Life)
		require.ErrorIs(t, m.Series.Points()[1].Err, half)
	}
}

func TestListsMayFail(t *testing.T) {
	broken := errors.New("no such path")
	e := TryPerKey(every(1, 2, 3), func(n int, add func(string, int)) error {
		if n == 2 {
			return broken
		}
		add("a", n)
		return nil
	})
	require.ErrorIs(t, e.Key("a").Points()[1].Err, broken)
}

func TestAKeyTwiceIsAnError(t *testing.T) {
	e := PerKey(every(1, 1), func(n int, add func(int, int)) { add(4, 1); add(4, 2) })
	require.ErrorContains(t, e.Key(4).Points()[0].Err, "the key 4 was added twice")
	require.Equal(t, Inconclusive, e.Every(NonDecreasing).Outcome)
}

func TestEntitiesAreNamedByTheirKey(t *testing.T) {
	e := PerKey(every(tasks{7: 1}, tasks{}, tasks{7: 1}), listTasks)
	names := func(e Entities[int32, uint64]) (out []string) {
		for _, m := range e.Members() {
			out = append(out, m.Series.Name())
		}
		return out
	}
	require.Equal(t, []string{"listTasks[7]", "listTasks[7], life 2"}, names(e))
	before := e
	e = e.Named("vtime")
	require.Equal(t, []string{"vtime[7]", "vtime[7], life 2"}, names(e))
	require.Equal(t, []string{"listTasks[7]", "listTasks[7], life 2"}, names(before), "it is another group")
	require.Equal(t, "vtime[7]", e.Key(7).Name())
	require.Equal(t, "vtime[7] is present", e.Present(7).Name())
}

func TestAPhaseThatComesAgainIsAnotherSeries(t *testing.T) {
	samples := every(5, 6, 1, 2, 7, 8)
	for i := range samples {
		samples[i].Phase.Step = []int{1, 1, 2, 2, 1, 1}[i]
	}
	phases := Of(samples, func(n int) int { return n }).Named("x").ByPhase()
	require.Len(t, phases.Members(), 3)
	require.Equal(t, 2, phases.Members()[2].Life)
	phases.Every(StrictlyIncreasing).Require(t)
	verdict := phases.Every(func(s Series[int]) Verdict { return Each(s).AtMost(6) })
	require.Equal(t, Fail, verdict.Outcome)
	require.Equal(t, "in 1 of 3 series: step 1 (life 2)", verdict.Reason)
}

// The lives of each key, found by looking at that key alone.
func TestLivesEqualThoseOfABruteForceSearch(t *testing.T) {
	source := rand.New(rand.NewPCG(6, 5))
	for range 3000 {
		samples := randomTasks(source)
		var want []string
		for key := range int32(4) {
			want = append(want, livesOf(samples, key)...)
		}
		var got []string
		for _, m := range PerKey(samples, listTasks).Members() {
			text := ""
			for _, p := range m.Series.Points() {
				text += fmt.Sprint(p.Name, "=", p.Value, p.Err, ";")
			}
			got = append(got, fmt.Sprint(m.Key, m.Life, m.Began, m.Ended, text))
		}
		require.ElementsMatch(t, want, got)
	}
}

func randomTasks(source *rand.Rand) []Sample[tasks] {
	samples := every(make([]tasks, source.IntN(8))...)
	for i := range samples {
		samples[i].Value = make(tasks)
		for key := range int32(4) {
			if source.IntN(3) > 0 {
				samples[i].Value[key] = source.Uint64N(10)
			}
		}
		if source.IntN(4) == 0 {
			lost(samples, i)
		}
	}
	return samples
}

func livesOf(samples []Sample[tasks], key int32) (lives []string) {
	has := func(i int) bool { _, ok := samples[i].Value[key]; return ok }
	lacks := func(s Sample[tasks]) bool { _, ok := s.Value[key]; return s.Err == nil && !ok }
	for i := 0; i < len(samples); i++ {
		if !has(i) {
			continue
		}
		last := i
		for k := i; k < len(samples) && !lacks(samples[k]); k++ {
			if has(k) {
				last = k
			}
		}
		ended := slices.ContainsFunc(samples[last+1:], func(s Sample[tasks]) bool { return s.Err == nil })
		if !ended {
			last = len(samples) - 1
		}
		text := ""
		for _, s := range samples[i : last+1] {
			text += fmt.Sprint(s.Name, "=", s.Value[key], s.Err, ";")
		}
		began := slices.ContainsFunc(samples[:i], func(s Sample[tasks]) bool { return s.Err == nil })
		lives = append(lives, fmt.Sprint(key, len(lives)+1, began, ended, text))
		i = last
	}
	return lives
}

// A phase began, and ended, within the series where samples of others are beside it.
func TestPhasesTellWhereTheyBeginAndEnd(t *testing.T) {
	s := without(of(1, 2, 3, 4, 5, 6), 4)
	for i, step := range []int{1, 1, 2, 1, 1, 1} {
		s.points[i].Phase = Phase{Step: step}
	}
	type life struct {
		step, life   int
		began, ended bool
	}
	var got []life
	phases := s.ByPhase()
	for _, m := range phases.members {
		got = append(got, life{m.Key.Step, m.Life, m.Began, m.Ended})
	}
	require.Equal(t, []life{{1, 1, false, true}, {2, 1, true, true}, {1, 2, true, false}}, got)

	v := phases.Every(NonDecreasing)
	require.Equal(t, []int{6, 5}, []int{v.Samples, v.Known})
}
