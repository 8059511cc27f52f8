package examplesched_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	examplesched "github.com/ktgen/ktgen/example_sched"
	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/series"
)

// These name fields before there is a snapshot. A typing error does not compile.
var (
	injectFault = ktest.SetAt(examplesched.Open, func(s examplesched.Snap) *bool { return &s.Bss().InjectFault }, true)
	vtime       = ktest.FieldAt(examplesched.Open, func(s examplesched.Snap) *uint64 { return &s.Bss().VtimeNow })
)

// A fault, from its cause to its consequences: it is there before the first task
// is scheduled, a watch catches the write that is wrong, and the values over time
// show what becomes of it.
func TestFaultIsCaughtInTheAct(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{CPUs: 1, Scheduler: scheduler.Loaded(ktest.Writing(injectFault))})

	// Tasks that sleep are behind in virtual time; those that spin are ahead.
	_, err := vm.Work(t.Context(), ktest.Spin, 2)
	require.NoError(t, err)
	_, err = vm.Work(t.Context(), ktest.Sleep, 2)
	require.NoError(t, err)

	// Virtual time must not go back. Who makes it?
	watch, err := vm.Watch(t.Context(), vtime, ktest.WatchOptions{
		When:    func(f ktest.Fire) bool { return f.New < f.Old },
		Capture: "went back",
		Max:     1,
	})
	require.NoError(t, err)
	fire, err := watch.Await(soon(t), 1)
	require.NoError(t, err)
	require.Equal(t, "tally_running", fire.Function.Source)
	require.NoError(t, watch.Close())

	// The state in that instant: virtual time is that of the task that runs.
	at := examplesched.Bind(t, fire.Snapshot)
	running := at.TaskStates().Find(func(s *examplesched.TaskState) bool { return s.Vtime == at.Bss().VtimeNow })
	require.NotNil(t, running)

	// And over time: a capture at each of the next writes, and one question
	// that is asked of all of them.
	watch, err = vm.Watch(t.Context(), vtime, ktest.WatchOptions{Capture: "written", Max: 40})
	require.NoError(t, err)
	_, err = watch.Await(soon(t), 40)
	require.NoError(t, err)
	require.NoError(t, watch.Close())
	verdict := series.NonDecreasing(vtimeOf(vm))
	require.Equal(t, series.Fail, verdict.Outcome)
	t.Log(verdict)

	// The same on a page, with the captures beside it. A test that fails, by
	// vm.Judge(verdict) for example, leaves one behind.
	page, err := os.Create(filepath.Join(t.ArtifactDir(), "fault.html")) // go test -artifacts keeps it
	require.NoError(t, err)
	require.NoError(t, vm.WritePage(page, verdict))
	require.NoError(t, page.Close())
}

// The same scheduler without the fault passes.
func TestVirtualTimeDoesNotGoBack(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{CPUs: 1, Scheduler: scheduler})
	_, err := vm.Work(t.Context(), ktest.Spin, 2)
	require.NoError(t, err)
	_, err = vm.Work(t.Context(), ktest.Sleep, 2)
	require.NoError(t, err)
	watch, err := vm.Watch(t.Context(), vtime, ktest.WatchOptions{Capture: "went on", Max: 5})
	require.NoError(t, err)
	_, err = watch.Await(soon(t), 5)
	require.NoError(t, err)
	require.NoError(t, watch.Close())
	for _, fire := range watch.Fires() {
		require.Greater(t, fire.New, fire.Old)
	}
	series.NonDecreasing(vtimeOf(vm)).Require(t)
}

// vtimeOf is the virtual time of the captures that a guest has had.
func vtimeOf(vm *ktest.VM) series.Series[uint64] {
	return series.Of(series.Open(vm.Captures().Captures(), examplesched.Open),
		func(s examplesched.Snap) uint64 { return s.Bss().VtimeNow })
}
