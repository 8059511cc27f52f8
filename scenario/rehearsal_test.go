package scenario_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/scenario"
)

var machine = scenario.Machine{CPUs: 2}

// of returns the scenario of these steps.
func of(steps ...scenario.Step) scenario.Scenario { return scenario.Scenario{Steps: steps} }

func TestARehearsalPerformsEveryOp(t *testing.T) {
	var passed time.Duration
	var captured []string
	g := scenario.NewRehearsal(machine, scenario.Hooks{
		Capture: func(_ context.Context, name string) error { captured = append(captured, name); return nil },
		Passed:  func(d time.Duration) { passed += d },
	})
	hooked, undone := 0, 0
	report, err := g.Run(t.Context(), of(
		scenario.Step{
			Cgroups: []scenario.Cgroup{{Name: "a", CPUs: []int{0}, Weight: 300, Workers: 2}, {Name: "b"}, {Name: "b/c", PIDsMax: 9}},
			Workers: []scenario.Workers{{Kind: scenario.Pipe}},
			Ops:     []scenario.Op{scenario.StartScheduler{Scheduler: scheduler{}}, scenario.FreezeCgroup{Cgroup: "b"}, scenario.Capture{Name: "one"}},
			Hold:    time.Hour,
		},
		scenario.Step{
			Ops: []scenario.Op{
				scenario.ThawCgroup{Cgroup: "b"}, scenario.Move{Workers: "pipe", Cgroup: "b/c"}, scenario.SetNice{Workers: "pipe", Nice: 5},
				scenario.SetAffinity{Workers: "pipe", CPUs: []int{1}}, scenario.Change{Cgroup: scenario.Cgroup{Name: "a", Weight: 5}},
				scenario.Stop{Workers: "pipe"}, scenario.Remove{Cgroup: "b"}, scenario.SetOnline{CPU: 1},
				scenario.ReplaceScheduler{Scheduler: scheduler{}}, scenario.Exec{Args: []string{"/bin/true"}},
				scenario.Hook{What: "call", Do: func(context.Context) error { hooked++; return nil }, Undo: func(context.Context) error { undone++; return nil }},
				scenario.StopScheduler{}, scenario.Capture{Name: "two"},
			},
			Hold: time.Minute,
		},
	))
	require.NoError(t, err)
	require.Equal(t, time.Hour+time.Minute, passed)
	require.Equal(t, []string{"one", "two"}, captured)
	require.Equal(t, []int{1, 1}, []int{hooked, undone})
	require.Empty(t, report.Warnings())
	require.Len(t, report.Workers, 3)
	require.Equal(t, "pipe-0", report.Workers[0].Name)
	require.Equal(t, time.Hour, report.Workers[0].Elapsed)
	require.Equal(t, "a-1", report.Workers[2].Name)
	require.Equal(t, time.Hour+time.Minute, report.Workers[2].Elapsed)
	require.Len(t, report.Trace(), 20)
	_, err = g.Workers("a")
	require.Error(t, err, "what a scenario has made is gone with it")

	_, err = g.Run(t.Context(), of(scenario.Step{Ops: []scenario.Op{scenario.Capture{Name: "three"}}, Hold: time.Second}))
	require.NoError(t, err, "a scheduler that has ended before is none that dies")
	_, err = g.Run(t.Context(), of(scenario.Step{Ops: []scenario.Op{scenario.StopScheduler{}}}))
	require.ErrorContains(t, err, "no scheduler runs at this point")
	_, err = g.Run(t.Context(), of(scenario.Step{Workers: []scenario.Workers{{Kind: scenario.Spin, CPUs: []int{2}}}}))
	require.ErrorContains(t, err, "CPU 2, which does not exist")
}

func TestCapturesThatFailAreWarnings(t *testing.T) {
	broken := errors.New("the guest cannot be stopped")
	var warned []error
	hooks := scenario.Hooks{
		Capture: func(_ context.Context, name string) error {
			if name == "bad" {
				return broken
			}
			return nil
		},
		Warn: func(err error) { warned = append(warned, err) },
	}
	steps := of(
		scenario.Step{Name: "first", Ops: []scenario.Op{scenario.Capture{Name: "bad"}, scenario.Capture{Name: "good"}}},
		scenario.Step{Ops: []scenario.Op{scenario.Capture{Name: "good"}}},
	)
	report, err := scenario.NewRehearsal(machine, hooks).Run(t.Context(), steps)
	require.NoError(t, err)
	require.Len(t, report.Trace(), 3, "the scenario goes on")
	require.Len(t, report.Warnings(), 1)
	require.Equal(t, report.Warnings(), warned)
	require.ErrorIs(t, warned[0], broken)
	missing := new(scenario.NotCapturedError)
	require.ErrorAs(t, warned[0], &missing)
	require.Equal(t, "bad", missing.Name)
	require.EqualError(t, warned[0], `step 1 "first", op 1, capture "bad": no snapshot: the guest cannot be stopped`)
	require.ErrorIs(t, report.Steps[0].Ops[0].Err, broken)
	require.Contains(t, report.String(), "warning: "+warned[0].Error())

	steps.Steps[0].Ops[0] = scenario.Capture{Name: "bad", Must: true}
	report, err = scenario.NewRehearsal(machine, hooks).Run(t.Context(), steps)
	require.ErrorIs(t, err, broken)
	require.Len(t, report.Trace(), 1)
	require.Empty(t, report.Warnings())
	require.ErrorIs(t, scenario.NewRehearsal(machine, hooks).Do(t.Context(), scenario.Capture{Name: "bad"}), broken, "who asks for this alone is told")

	report, err = scenario.NewRehearsal(machine, scenario.Hooks{}).Run(t.Context(), steps)
	require.ErrorContains(t, err, "scenario.Hooks.Capture", "nobody captures, and this one must be")
	require.NotNil(t, report)
	steps.Steps[0].Ops = nil
	report, err = scenario.NewRehearsal(machine, scenario.Hooks{}).Run(t.Context(), steps)
	require.NoError(t, err)
	require.ErrorContains(t, report.Warnings()[0], "scenario.Hooks.Capture")

	ctx, cancel := context.WithCancel(t.Context())
	hooks.Capture = func(context.Context, string) error { cancel(); return broken }
	_, err = scenario.NewRehearsal(machine, hooks).Run(ctx, steps)
	require.ErrorIs(t, err, context.Canceled, "a scenario that is ended does not go on")
}

// A scenario that a hook leaves by t.FailNow or a panic is at its end as any other.
func TestScenariosThatAHookLeavesAreEnded(t *testing.T) {
	for name, leave := range map[string]func(){"FailNow": runtime.Goexit, "panic": func() { panic("of the hook") }} {
		g := scenario.NewRehearsal(machine, scenario.Hooks{})
		undone := false
		left := make(chan struct{})
		go func() {
			defer close(left)
			defer func() { _ = recover() }()
			_, _ = g.Run(t.Context(), of(scenario.Step{
				Workers: []scenario.Workers{{Name: "w", Kind: scenario.Spin}},
				Ops: []scenario.Op{
					scenario.Hook{What: "count", Do: func(context.Context) error { return nil }, Undo: func(context.Context) error { undone = true; return nil }},
					scenario.Hook{What: "leave", Do: func(context.Context) error { leave(); return nil }},
				},
			}))
		}()
		<-left
		require.True(t, undone, name)
		_, err := g.Workers("w")
		require.Error(t, err, "%s: its workers are gone", name)
		_, err = g.Run(t.Context(), of(scenario.Step{}))
		require.NoError(t, err, name)
	}
}

// Functions of the test that an op calls perform ops, with whatever context.
func TestHooksPerformOps(t *testing.T) {
	var g *scenario.Guest
	ops := func(ctx context.Context) error {
		running, err := g.Spawn(t.Context(), scenario.Workers{Name: "inner", Kind: scenario.Spin})
		if err != nil {
			return err
		}
		if err := g.Do(ctx, scenario.SetNice{Workers: "inner", Nice: 3}); err != nil {
			return err
		}
		if _, err = running.Stop(ctx); err != nil {
			return err
		}
		if _, err := g.Run(ctx, of(scenario.Step{Hold: time.Second})); !errors.Is(err, scenario.ErrBusy) {
			return errors.New("a scenario in a scenario is to be refused")
		}
		return g.Do(ctx, scenario.Hook{What: "inner", Do: func(ctx context.Context) error { return g.Do(ctx, scenario.Cgroup{Name: "made"}) }})
	}
	g = scenario.NewRehearsal(machine, scenario.Hooks{
		Start: func(ctx context.Context, _ scenario.Scheduler) error {
			return g.Do(ctx, scenario.Cgroup{Name: "early"})
		},
	})
	report, err := g.Run(t.Context(), of(
		scenario.Step{Ops: []scenario.Op{scenario.Hook{What: "outer", Do: ops}, scenario.StartScheduler{Scheduler: scheduler{}}}},
		scenario.Step{Ops: []scenario.Op{scenario.Cgroup{Name: "after"}}},
	))
	require.NoError(t, err)
	require.Equal(t, []string{"1: outer", "1: start scheduler fake", `2: cgroup "after"`}, report.Trace())
	require.Len(t, report.Workers, 1, "workers of a hook are the scenario's")
	require.ErrorContains(t, g.Do(t.Context(), scenario.Remove{Cgroup: "made"}), "there is none at all", "so are cgroups")
	require.NoError(t, g.Do(t.Context(), scenario.Hook{What: "alone", Do: func(ctx context.Context) error {
		return g.Do(ctx, scenario.Cgroup{Name: "stays"})
	}}))
	require.NoError(t, g.Do(t.Context(), scenario.Remove{Cgroup: "stays"}), "the state after a hook has what it made")
}

// An op that waits for another does not outlast its context.
func TestOpsThatWaitForATurnEndWithTheirContext(t *testing.T) {
	begun, end := make(chan struct{}), make(chan struct{})
	g := scenario.NewRehearsal(machine, scenario.Hooks{
		Capture: func(context.Context, string) error { close(begun); <-end; return nil },
	})
	ended := make(chan error)
	go func() { ended <- g.Do(t.Context(), scenario.Capture{Name: "slow"}) }()
	<-begun
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := g.Do(ctx, scenario.Cgroup{Name: "a"})
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "the op before")
	close(end)
	require.NoError(t, <-ended)
}

func TestWhatAScenarioHasMadeIsTakenBack(t *testing.T) {
	failed := errors.New("it is not there any more")
	g := scenario.NewRehearsal(machine, scenario.Hooks{})
	_, err := g.Run(t.Context(), of(scenario.Step{
		Workers: []scenario.Workers{{Kind: scenario.Spin}},
		Ops: []scenario.Op{scenario.Hook{
			What: "write", Do: func(context.Context) error { return nil }, Undo: func(context.Context) error { return failed },
		}},
	}))
	require.ErrorIs(t, err, failed)
	require.ErrorContains(t, err, "undo write: ")
	_, err = g.Workers("spin")
	require.Error(t, err, "workers of no cgroup end, too")
}

// The end of a scheduler that ended before the scenario does not end what it does.
func TestASchedulerThatHasEndedBeforeIsNoneThatDies(t *testing.T) {
	g := scenario.NewRehearsal(scenario.Machine{CPUs: 2, Scheduler: true}, scenario.Hooks{})
	require.NoError(t, g.Do(t.Context(), scenario.StopScheduler{}), "a scheduler that was there")
	_, err := g.Run(t.Context(), of(scenario.Step{Ops: []scenario.Op{scenario.Hook{What: "wait", Do: func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Millisecond): // in which it would be noticed
			return nil
		}
	}}}}))
	require.NoError(t, err)
}

// A hook that ends the scheduler, or replaces it, goes on, and so does the scenario: it is
// the test's own doing.
func TestAHookMayEndTheScheduler(t *testing.T) {
	var g *scenario.Guest
	ended := make(chan struct{})
	g = scenario.NewRehearsal(scenario.Machine{CPUs: 2}, scenario.Hooks{
		Ended: func() <-chan struct{} { return ended },
		Stop:  func(context.Context) error { close(ended); return nil },
		Why:   func() error { return nil },
	})
	hook := scenario.Hook{What: "stop it", Do: func(ctx context.Context) error {
		if err := g.Do(ctx, scenario.StopScheduler{}); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Millisecond): // in which it would be noticed
			return nil
		}
	}}
	then := scenario.Hook{What: "go on", Do: func(ctx context.Context) error { return context.Cause(ctx) }}
	report, err := g.Run(t.Context(), of(scenario.Step{Ops: []scenario.Op{hook, then}, Hold: time.Millisecond}))
	require.NoError(t, err)
	require.Len(t, report.Steps[0].Ops, 2)
}

func TestARehearsalInstallsNoPayload(t *testing.T) {
	program := filepath.Join(t.TempDir(), "program")
	require.NoError(t, os.WriteFile(program, nil, 0o700))
	payload := scenario.Workers{Payload: &scenario.Payload{Args: []string{"/bin/program"}, Host: program}}
	report, err := scenario.NewRehearsal(machine, scenario.Hooks{}).Run(t.Context(), of(scenario.Step{Workers: []scenario.Workers{payload}}))
	require.NoError(t, err)
	require.Equal(t, "program", report.Workers[0].Workers)
}

func TestAnOpThatFailsAsTheSchedulerDiesSaysSo(t *testing.T) {
	broken, died := errors.New("no such number"), errors.New("runtime error")
	var fails error
	g := scenario.NewRehearsal(machine, scenario.Hooks{
		Capture: func(context.Context, string) error { return fails },
		Died:    func() error { return died },
	})
	require.NoError(t, g.Do(t.Context(), scenario.Capture{Name: "now"}), "what has not failed has not")
	fails = broken
	var end *scenario.SchedulerDiedError
	require.ErrorAs(t, g.Do(t.Context(), scenario.Capture{Name: "now"}), &end)
	require.Equal(t, died, end.Err)
	require.ErrorIs(t, end.While, broken)
}

func TestAConditionEndsWithASnapshotThatCannotBe(t *testing.T) {
	broken := errors.New("the guest cannot be stopped")
	g := scenario.NewRehearsal(machine, scenario.Hooks{
		Snapshot: func(context.Context) (*ktsnap.Snapshot, error) { return nil, broken },
	})
	err := g.Await(t.Context(), scenario.Condition{What: "x", Within: time.Minute, Snapshot: func(snap *ktsnap.Snapshot) (bool, error) {
		return snap == nil, nil
	}})
	require.ErrorIs(t, err, broken)
	require.False(t, errors.As(err, new(*scenario.NeverTrueError)), "it is not asked again: %v", err)
}

func TestASchedulerThatDoesNotStopIsNotReplaced(t *testing.T) {
	stuck, started := errors.New("it does not end"), 0
	g := scenario.NewRehearsal(scenario.Machine{CPUs: 2, Scheduler: true}, scenario.Hooks{
		Stop:  func(context.Context) error { return stuck },
		Start: func(context.Context, scenario.Scheduler) error { started++; return nil },
	})
	require.ErrorIs(t, g.Do(t.Context(), scenario.ReplaceScheduler{Scheduler: scheduler{}}), stuck)
	require.Zero(t, started)
}

// What took how long is told by the guest's clock, for each step and op.
func TestAReportHasTheTimesOfStepsAndOps(t *testing.T) {
	var now time.Duration
	var phases []string
	begun := 0
	takes := func(d time.Duration) scenario.Op {
		return scenario.Hook{What: "take time", Do: func(context.Context) error { now += d; return nil }}
	}
	g := scenario.NewRehearsal(machine, scenario.Hooks{
		Now:    func() time.Duration { return now },
		Passed: func(d time.Duration) { now += d },
		Begin:  func() { begun++ },
		Phase:  func(step int, name string) { phases = append(phases, fmt.Sprint(step, name)) },
	})
	report, err := g.Run(t.Context(), of(
		scenario.Step{Name: "a", Ops: []scenario.Op{takes(5 * time.Second), takes(time.Second)}, Workers: []scenario.Workers{{Kind: scenario.Spin}}},
		scenario.Step{Name: "b", Ops: []scenario.Op{takes(7 * time.Second)}},
	))
	require.NoError(t, err)
	require.Equal(t, []string{"1a", "2b", "0"}, phases)
	require.Equal(t, 1, begun)
	var took, began []time.Duration
	for _, step := range report.Steps {
		require.Len(t, step.Workers, 1, step.Name)
		for _, op := range step.Ops {
			if took, began = append(took, op.Took), append(began, op.Began); op.Err != nil {
				t.Error(op.Err)
			}
		}
	}
	require.Equal(t, []time.Duration{0, 5 * time.Second, time.Second, 7 * time.Second}, took)
	require.Equal(t, []time.Duration{0, 0, 5 * time.Second, 6 * time.Second}, began)
	require.Equal(t, 13*time.Second, report.Lasted)

	again, err := g.Run(t.Context(), of(scenario.Step{}))
	require.NoError(t, err)
	require.Empty(t, again.Workers, "those of the scenario before are its own")
}

func TestConditionsSayHowOftenTheyWereAsked(t *testing.T) {
	refused := errors.New("not yet")
	for name, hooks := range map[string]scenario.Hooks{"host's clock": {}, "guest's clock": {Now: func() time.Duration { return 0 }}} {
		looks := 0
		third := &scenario.Condition{What: "the third look", Within: time.Minute, Every: time.Microsecond, Poll: func(context.Context) (bool, error) {
			looks++
			return looks >= 2, map[bool]error{true: refused}[looks == 2] // an error says no
		}}
		report, err := scenario.NewRehearsal(machine, hooks).Run(t.Context(), of(scenario.Step{Until: third}))
		require.NoError(t, err, name)
		require.Equal(t, 3, report.Steps[0].Looks, name)
	}
	err := scenario.NewRehearsal(machine, scenario.Hooks{}).Await(t.Context(), scenario.Condition{
		What: "never", Within: 5 * time.Millisecond, Every: time.Microsecond, Poll: func(context.Context) (bool, error) { return false, refused },
	})
	var never *scenario.NeverTrueError
	require.ErrorAs(t, err, &never)
	require.Equal(t, refused, never.Last)
	require.Positive(t, never.Looks)
}

func TestWorkersThatCannotBeAreNotSpawned(t *testing.T) {
	g := scenario.NewRehearsal(machine, scenario.Hooks{})
	var invalid *scenario.InvalidError
	_, err := g.Spawn(t.Context(), scenario.Workers{Kind: scenario.Spin, CPUs: []int{9}})
	require.ErrorAs(t, err, &invalid)

	require.NoError(t, g.Do(t.Context(), scenario.Cgroup{Name: "box", CPUs: []int{0}, Workers: 1}))
	err = g.Do(t.Context(), scenario.SetAffinity{Workers: "box", CPUs: []int{1}})
	require.ErrorAs(t, err, &invalid, "none of the CPUs of its cgroup")
	require.NoError(t, g.Do(t.Context(), scenario.SetAffinity{Workers: "box", CPUs: []int{0}}))
	require.ErrorContains(t, g.Do(t.Context(), scenario.Move{Workers: "box", Cgroup: "bx"}), `"bx"`)
	running, err := g.Workers("box")
	require.NoError(t, err)
	stats, err := running.Stats(t.Context())
	require.NoError(t, err)
	require.Len(t, stats, 1)
	require.Equal(t, "none", stats[0].Wakeups.String())
}
