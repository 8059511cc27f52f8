package scenario_test

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/scenario"
)

// scheduler is one that can be started, or not.
type scheduler struct{ err error }

func (s scheduler) String() string { return "fake" }
func (s scheduler) Check() error   { return s.err }

func TestWhatNoGuestCouldPerformIsSaidBefore(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	data := filepath.Join(t.TempDir(), "data")
	require.NoError(t, os.WriteFile(data, nil, 0o600))
	box := scenario.Cgroup{Name: "box", CPUs: []int{1}}
	spin := scenario.Workers{Kind: scenario.Spin}
	yes := func(context.Context) (bool, error) { return true, nil }

	for name, row := range map[string]struct {
		step scenario.Step
		want string
	}{
		"empty cpuset":        {ops(scenario.Cgroup{Name: "a", CPUs: []int{}}), `op 1, cgroup "a": the cpuset is without CPUs`},
		"cpuset of no CPU":    {ops(scenario.Cgroup{Name: "a", CPUs: []int{7}}), "CPU 7, which does not exist: the guest has [0 1]"},
		"without its parent":  {ops(scenario.Cgroup{Name: "a/b"}), `no cgroup called "a"`},
		"absolute name":       {ops(scenario.Cgroup{Name: "/a"}), "the cgroup has no name"},
		"name out of another": {ops(box, scenario.Cgroup{Name: "box/.."}), `the name ".." of the cgroup is no path component`},
		"too deep":            {ops(scenario.Cgroup{Name: strings.Repeat("a/", 16) + "a"}), "nested 17 deep"},
		"in one with workers": {ops(scenario.Cgroup{Name: "a", Workers: 1}, scenario.Cgroup{Name: "a/b"}), `workers ["a"] run in cgroup "a", which then can have no children`},
		"worker in a parent":  {ops(box, scenario.Cgroup{Name: "box/a"}, scenario.Workers{Kind: scenario.Spin, Cgroup: "box"}), `has the child "box/a", and then no workers`},
		"start in the frozen parent": {ops(box, scenario.Cgroup{Name: "box/a"}, scenario.FreezeCgroup{Cgroup: "box"},
			scenario.Workers{Kind: scenario.Spin, Cgroup: "box/a"}), `cgroup "box/a" is frozen`},
		"cpuset beside the parent's": {ops(box, scenario.Cgroup{Name: "box/a", CPUs: []int{0}}), `the cpuset [0] has no CPU of cgroup "box", whose cpuset is [1]`},
		"cpuset beside the child's": {ops(scenario.Cgroup{Name: "a"}, scenario.Cgroup{Name: "a/b", CPUs: []int{0}},
			scenario.Change{Cgroup: scenario.Cgroup{Name: "a", CPUs: []int{1}}}), `has no CPU of cgroup "a/b" in it`},
		"affinity beside the parent's": {ops(box, scenario.Cgroup{Name: "box/a"}, scenario.Workers{Kind: scenario.Spin, Cgroup: "box/a", CPUs: []int{0}}), "has no CPU of cgroup"},
		"removed with its parent":      {ops(box, scenario.Cgroup{Name: "box/a"}, scenario.Remove{Cgroup: "box"}, scenario.FreezeCgroup{Cgroup: "box/a"}), `no cgroup called "box/a"`},
		"name that leads up":           {ops(scenario.Cgroup{Name: ".."}), "no path component"},
		"no name":                      {ops(scenario.Cgroup{}), "the cgroup has no name"},
		"a control file":               {ops(scenario.Cgroup{Name: "cpu.max"}), "reserved"},
		"long name":                    {ops(scenario.Cgroup{Name: strings.Repeat("x", 256)}), "256 bytes"},
		"name taken":                   {ops(box, box), `there is a cgroup "box"`},
		"weight":                       {ops(scenario.Cgroup{Name: "a", Weight: 10001}), "weights are 1 to 10000"},
		"negative limit":               {ops(scenario.Cgroup{Name: "a", MemoryMax: -1}), "negative"},
		"quota":                        {ops(scenario.Cgroup{Name: "a", Max: scenario.CPUMax{Quota: 1}}), "at least 1 ms"},
		"short period":                 {ops(scenario.Cgroup{Name: "a", Max: scenario.CPUMax{Quota: time.Second, Period: 1}}), "the period 1 ms to 1 s"},
		"long period":                  {ops(scenario.Cgroup{Name: "a", Max: scenario.CPUMax{Quota: time.Second, Period: time.Minute}}), "the period 1 ms to 1 s"},
		"node below 0":                 {ops(scenario.Cgroup{Name: "a", Mems: []int{0, -1}}), "NUMA nodes count from 0"},
		"load of a cgroup":             {ops(scenario.Cgroup{Name: "a", Workers: 1, Kind: "spim"}), `did you mean "spin"?`},
		"kind without number":          {ops(scenario.Cgroup{Name: "a", Kind: scenario.Spin}), "say how many"},
		"change of nothing":            {ops(box, scenario.Change{Cgroup: scenario.Cgroup{Name: "box"}}), "changes nothing"},
		"change of none":               {ops(scenario.Change{Cgroup: scenario.Cgroup{Name: "bix", Weight: 5}}), "there is none at all"},
		"no such cgroup":               {ops(box, scenario.FreezeCgroup{Cgroup: "bos"}), `did you mean "box"?`},
		"frozen twice":                 {ops(box, scenario.FreezeCgroup{Cgroup: "box"}, scenario.FreezeCgroup{Cgroup: "box"}), `op 3, freeze cgroup "box": cgroup "box" is frozen already`},
		"thawed":                       {ops(box, scenario.ThawCgroup{Cgroup: "box"}), "is not frozen"},
		"start in the frozen":          {ops(box, scenario.FreezeCgroup{Cgroup: "box"}, scenario.Workers{Kind: scenario.Spin, Cgroup: "box"}), "thaw it before"},
		"removed":                      {ops(box, scenario.Remove{Cgroup: "box"}, scenario.FreezeCgroup{Cgroup: "box"}), `no cgroup called "box"`},
		"workers go with it":           {ops(scenario.Cgroup{Name: "a", Workers: 1}, scenario.Remove{Cgroup: "a"}, scenario.Stop{Workers: "a"}), `no group of workers called "a"`},

		"affinity beside the cpuset": {ops(box, scenario.Workers{Kind: scenario.Spin, Cgroup: "box", CPUs: []int{0}}), "has no CPU of cgroup"},
		"affinity to what the parent takes away": {ops(scenario.Cgroup{Name: "a", CPUs: []int{0}}, scenario.Cgroup{Name: "a/b", CPUs: []int{0, 1}},
			scenario.Workers{Kind: scenario.Spin, Cgroup: "a/b", CPUs: []int{1}}), "has no CPU of cgroup"},
		"child beside workers": {ops(scenario.Cgroup{Name: "a"}, scenario.Workers{Name: "z", Kind: scenario.Spin, Cgroup: "a"}, scenario.Workers{Name: "b", Kind: scenario.Spin, Cgroup: "a"},
			scenario.Workers{Name: "x", Kind: scenario.Spin, Cgroup: "a"}, scenario.Workers{Name: "c", Kind: scenario.Spin, Cgroup: "a"}, scenario.Cgroup{Name: "a/b"}), `workers ["b" "c" "x" "z"] run in`},
		"affinity to offline CPU":    {ops(scenario.SetOnline{CPU: 1}, scenario.Workers{Kind: scenario.Spin, CPUs: []int{1}}), "CPU 1, which is offline at this point"},
		"affinity to no CPU":         {ops(spin, scenario.SetAffinity{Workers: "spin"}), "without CPUs"},
		"move beside the affinity":   {ops(box, scenario.Workers{Kind: scenario.Spin, CPUs: []int{0}}, scenario.Move{Workers: "spin", Cgroup: "box"}), "has no CPU of cgroup"},
		"move to the same":           {ops(spin, scenario.Move{Workers: "spin"}), "there already"},
		"stopped twice":              {ops(spin, scenario.Stop{Workers: "spin"}, scenario.Stop{Workers: "spin"}), `op 3, stop workers "spin"`},
		"name of a task":             {ops(scenario.Workers{Name: "fourteen-chars", Kind: scenario.Spin}), "the kernel keeps 15"},
		"worker's name":              {ops(scenario.Workers{Name: "a/b", Kind: scenario.Spin}), "no path component"},
		"too many":                   {ops(scenario.Workers{Kind: scenario.Spin, Count: 10_000}), "1 to 256"},
		"nice":                       {ops(scenario.Workers{Kind: scenario.Spin, Nice: 20}), "-20 to 19"},
		"one too many":               {ops(scenario.Workers{Kind: scenario.Spin, Count: 257}), "1 to 256"},
		"fewer than none":            {ops(scenario.Workers{Kind: scenario.Spin, Count: -1}), "1 to 256"},
		"nice to a fault":            {ops(scenario.Workers{Kind: scenario.Spin, Nice: -21}), "-20 to 19"},
		"nice and RR":                {ops(scenario.Workers{Kind: scenario.Spin, Policy: scenario.RR, Nice: 1}), "knows no nice value"},
		"nice and FIFO":              {ops(scenario.Workers{Kind: scenario.SleepWake, Policy: scenario.FIFO, Nice: 1}), "knows no nice value"},
		"memory":                     {ops(scenario.Workers{Kind: scenario.MemoryWalk, Memory: 1<<40 + 1}), "let it fit the guest"},
		"policy":                     {ops(scenario.Workers{Kind: scenario.Spin, Policy: "fast"}), `no scheduling policy is called "fast"`},
		"FIFO that never sleeps":     {ops(scenario.Workers{Kind: scenario.Spin, Policy: scenario.FIFO}), "use RR"},
		"two kinds of work":          {ops(scenario.Workers{Kind: scenario.Spin, Payload: &scenario.Payload{Args: []string{"/x"}}}), "choose one"},
		"payload that is not there":  {ops(scenario.Workers{Payload: &scenario.Payload{Args: []string{"/x"}, Host: missing}}), "build it before the test"},
		"payload that is no program": {ops(scenario.Workers{Payload: &scenario.Payload{Args: []string{"/x"}, Host: data}}), "is no program"},
		"payload without a place":    {ops(scenario.Workers{Payload: &scenario.Payload{Args: []string{"x"}, Host: data}}), "absolute path"},

		"CPU 0":                 {ops(scenario.SetOnline{CPU: 0}), "CPU 0 cannot go offline"},
		"online already":        {ops(scenario.SetOnline{CPU: 1, Online: true}), "online already"},
		"no such CPU":           {ops(scenario.SetOnline{CPU: 2}), "there is no CPU 2"},
		"a second scheduler":    {ops(scenario.StartScheduler{Scheduler: scheduler{}}, scenario.StartScheduler{Scheduler: scheduler{}}), "op 2, start scheduler fake: a scheduler runs"},
		"stopped before":        {ops(scenario.StartScheduler{Scheduler: scheduler{}}, scenario.StopScheduler{}, scenario.StopScheduler{}), "op 3, stop the scheduler: no scheduler runs"},
		"no scheduler to stop":  {ops(scenario.StopScheduler{}), "no scheduler runs"},
		"none to replace":       {ops(scenario.ReplaceScheduler{Scheduler: scheduler{}}), "use StartScheduler"},
		"unreadable scheduler":  {ops(scenario.StartScheduler{Scheduler: scheduler{err: errors.New("no ELF")}}), "no ELF"},
		"no scheduler is named": {ops(scenario.StartScheduler{}), "names no scheduler"},
		"capture":               {ops(scenario.Capture{}), "the capture has no name"},
		"program":               {ops(scenario.Exec{}), "names no program"},
		"hook":                  {ops(scenario.Hook{What: "write"}), "the hook has no Do: set it"},
		"nameless hook":         {ops(scenario.Hook{Do: func(context.Context) error { return nil }}), "the hook has no What"},
		"empty program":         {ops(scenario.Exec{Args: []string{""}}), "names no program"},
		"nil":                   {ops(nil), "the op is nil"},

		"two holds":        {scenario.Step{Hold: time.Second, HoldFraction: 1}, "more than one of"},
		"negative hold":    {scenario.Step{Hold: -1}, "negative"},
		"short hold":       {scenario.Step{Hold: time.Microsecond}, "the shortest hold is 1ms"},
		"short fraction":   {scenario.Step{HoldFraction: 0.0001}, "it lasts 100µs"},
		"fraction":         {scenario.Step{HoldFraction: math.NaN()}, "not within 0 and 1"},
		"too large":        {scenario.Step{HoldFraction: 1.5}, "not within 0 and 1"},
		"condition":        {until(scenario.Condition{Poll: yes, Within: 1}), "what becomes true"},
		"no question":      {until(scenario.Condition{What: "x", Within: 1}), "one of Snapshot and Poll"},
		"two questions":    {until(scenario.Condition{What: "x", Within: 1, Poll: yes, Snapshot: func(*ktsnap.Snapshot) (bool, error) { return true, nil }}), "one of Snapshot and Poll"},
		"no bound":         {until(scenario.Condition{What: "x", Poll: yes}), "no time within which"},
		"asked before":     {until(scenario.Condition{What: "x", Poll: yes, Within: time.Second, Every: -1}), "ask more often"},
		"asked too seldom": {until(scenario.Condition{What: "x", Poll: yes, Within: time.Second, Every: time.Minute}), "ask more often"},
	} {
		t.Run(name, func(t *testing.T) {
			row.step.Name = "bad"
			err := scenario.Scenario{Duration: time.Second, Steps: []scenario.Step{row.step}}.Check(scenario.Machine{CPUs: 2})
			require.ErrorContains(t, err, row.want)
			var op *scenario.OpError
			require.ErrorAs(t, err, &op)
			require.Equal(t, 1, op.Step)
			require.Equal(t, "bad", op.StepName)
		})
	}
}

func ops(all ...scenario.Op) scenario.Step { return scenario.Step{Ops: all} }

func until(c scenario.Condition) scenario.Step { return scenario.Step{Until: &c} }

func TestFractionsAreOfTheWholeScenario(t *testing.T) {
	steps := []scenario.Step{{HoldFraction: 0.5}, {HoldFraction: 0.5}}
	require.NoError(t, scenario.Scenario{Duration: time.Second, Steps: steps}.Check(scenario.Machine{CPUs: 1}))
	require.ErrorContains(t, scenario.Scenario{Steps: steps}.Check(scenario.Machine{CPUs: 1}), "has no duration")
	steps = append(steps, scenario.Step{HoldFraction: 0.1})
	require.ErrorContains(t, scenario.Scenario{Duration: time.Second, Steps: steps}.Check(scenario.Machine{CPUs: 1}), "step 3, hold: the fractions of the steps so far are 1.10")
}

func TestEveryMistakeIsToldUpToABound(t *testing.T) {
	var bad []scenario.Op
	for range 30 {
		bad = append(bad, scenario.Exec{})
	}
	err := scenario.Scenario{Steps: []scenario.Step{ops(bad...)}}.Check(scenario.Machine{CPUs: 1})
	require.ErrorContains(t, err, "op 20,")
	require.ErrorContains(t, err, "and 10 more")
	require.ErrorContains(t, scenario.Scenario{}.Check(scenario.Machine{CPUs: 1}), "no steps")
}

func TestACheckChangesNothing(t *testing.T) {
	s := scenario.Scenario{Steps: []scenario.Step{
		{Cgroups: []scenario.Cgroup{{Name: "a", Workers: 1, Load: []scenario.Workers{{Kind: scenario.Pipe}}}}},
		ops(scenario.Stop{Workers: "a"}, scenario.Move{Workers: "pipe"}, scenario.Remove{Cgroup: "a"}, scenario.StopScheduler{}),
	}}
	for range 2 {
		require.NoError(t, s.Check(scenario.Machine{CPUs: 1, Scheduler: true}))
	}
	require.Empty(t, s.Steps[0].Cgroups[0].Load[0].Cgroup, "the check has written to the scenario")
}

// What is just allowed stands beside what is just refused, above.
func TestWhatAGuestCanPerformIsAllowed(t *testing.T) {
	yes := func(context.Context) (bool, error) { return true, nil }
	for name, step := range map[string]scenario.Step{
		"quota of the usual period": ops(scenario.Cgroup{Name: "a", Max: scenario.CPUMax{Quota: time.Millisecond}}),
		"shortest period":           ops(scenario.Cgroup{Name: "a", Max: scenario.CPUMax{Quota: time.Second, Period: time.Millisecond}}),
		"longest period":            ops(scenario.Cgroup{Name: "a", Max: scenario.CPUMax{Quota: time.Millisecond, Period: time.Second}}),
		"first node":                ops(scenario.Cgroup{Name: "a", Mems: []int{0}}),
		"most workers":              ops(scenario.Workers{Kind: scenario.Spin, Count: 256}),
		"nicest":                    ops(scenario.Workers{Kind: scenario.Spin, Nice: 19}),
		"least nice":                ops(scenario.Workers{Kind: scenario.Spin, Nice: -20}),
		"nice batch":                ops(scenario.Workers{Kind: scenario.Spin, Policy: scenario.Batch, Nice: 1}),
		"most memory":               ops(scenario.Workers{Kind: scenario.MemoryWalk, Memory: 1 << 40}),
		"asked once":                until(scenario.Condition{What: "x", Poll: yes, Within: time.Second, Every: time.Second}),
		"asked as usual":            until(scenario.Condition{What: "x", Poll: yes, Within: time.Second}),
		"in a cpuset below none":    ops(scenario.Cgroup{Name: "a"}, scenario.Cgroup{Name: "a/b", CPUs: []int{1}}, scenario.Workers{Kind: scenario.Spin, Cgroup: "a/b", CPUs: []int{1}}),
		"cpuset around a child's": ops(scenario.Cgroup{Name: "a"}, scenario.Cgroup{Name: "a/b", CPUs: []int{0}},
			scenario.Change{Cgroup: scenario.Cgroup{Name: "a", CPUs: []int{0, 1}}}),
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, of(step).Check(scenario.Machine{CPUs: 2}))
		})
	}
	var deep scenario.Step
	for n := range 16 {
		deep.Cgroups = append(deep.Cgroups, scenario.Cgroup{Name: strings.Repeat("a/", n) + "a"})
	}
	require.NoError(t, of(deep).Check(scenario.Machine{CPUs: 2}))
}

func TestOneMistakeMoreThanIsToldIsCounted(t *testing.T) {
	bad := make([]scenario.Op, 21)
	require.ErrorContains(t, of(ops(bad...)).Check(machine), "and 1 more")
	require.NotContains(t, of(ops(bad[:20]...)).Check(machine).Error(), "more")
}
