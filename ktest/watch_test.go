package ktest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// While all vCPUs are in user mode none of them has the kernel's memory mapped, if the kernel isolates its
// page tables as it does on Intel's CPUs, which guests with a topology have.
func TestPlacesAreWatchedWhileAllCPUsAreInUserMode(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{Topology: ktest.Topology{Cores: 2}})
	_, err := vm.Work(t.Context(), ktest.Spin, 4)
	require.NoError(t, err)
	for range 100 {
		w, err := vm.Watch(t.Context(), ktest.Symbol("panic_timeout", 4), ktest.WatchOptions{})
		require.NoError(t, err)
		require.NoError(t, vm.Hold(t.Context(), 5*time.Millisecond))
		require.NoError(t, w.Err())
		require.NoError(t, w.Close())
	}
}

// In a guest in lockstep a watch sees each store, and exactly those that Blame tells of afterwards. The
// guest does what it does without: all of its memory is equal.
func TestWatchesOfGuestsInLockstepSeeEachStore(t *testing.T) {
	run := func(watched bool) (end trace) {
		vm := ktest.Boot(t, ktest.Config{Seed: 7, Watches: watched, Scheduler: fault("race")})
		bss := vm.Freeze("before").Map("race.bss").At(0)
		var watch *ktest.Watch
		if watched {
			var err error
			watch, err = vm.Watch(t.Context(), ktest.FieldOf(bss.Get("counted")), ktest.WatchOptions{Max: 1 << 20, Unchanged: true})
			require.NoError(t, err)
		}
		racing(t, vm)
		end.look(t, vm, "raced")
		if watched {
			requireEqualStores(t, vm, bss, watch)
		}
		return end
	}
	require.Equal(t, run(false), run(true))
}

// A capture is of the instant just after a store. What a fire calls can neither write nor stop the guest.
func TestWatchesOfGuestsInLockstepCaptureAndAwait(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{Seed: 7, Watches: true, Scheduler: fault("race")})
	counted := vm.Freeze("before").Map("race.bss").At(0).Get("counted")
	var (
		inFire error
		seen   []int
		watch  *ktest.Watch
		err    error
	)
	watch, err = vm.Watch(t.Context(), ktest.FieldOf(counted), ktest.WatchOptions{
		When: func(f ktest.Fire) bool { return f.New%100 == 0 }, Capture: "hundreds",
		OnFire: func(f ktest.Fire) {
			inFire = vm.Write(t.Context(), ktest.SetOf(counted, 0))
			seen = append(seen, watch.Stats().Fires)
		},
	})
	require.NoError(t, err)
	_, err = vm.Work(t.Context(), ktest.Yield, 4)
	require.NoError(t, err)
	fire, err := watch.Await(t.Context(), 2)
	require.NoError(t, err)
	require.ErrorContains(t, inFire, "the guest stands in the middle of a write")
	require.NoError(t, watch.Err())
	require.Equal(t, []int{1, 2}, seen[:2])
	require.NoError(t, fire.CaptureErr)
	held, err := fire.Snapshot.Map("race.bss").At(0).Get("counted").Uint64()
	require.NoError(t, err)
	require.Equal(t, fire.New, held)
	moments := vm.Captures().Captures()[1:]
	require.Len(t, moments, watch.Stats().Fires)
	require.Equal(t, fire.Guest-watch.Fires()[0].Guest, moments[1].Elapsed-moments[0].Elapsed)

	require.NoError(t, vm.Write(t.Context(), ktest.SetOf(counted, 99)))
	hits, fires := watch.Stats().Hits, watch.Stats().Fires
	fire, err = watch.Await(t.Context(), fires+1)
	require.NoError(t, err)
	require.Equal(t, []uint64{99, 100}, []uint64{fire.Old, fire.New}, "%v after %d writes", fire, hits)
	require.Contains(t, fire.String(), "the host, by VM.Write, or a device has made it 99")
	require.NoError(t, watch.Close())
	fires = watch.Stats().Fires
	require.NoError(t, vm.Hold(t.Context(), 20*time.Millisecond))
	require.Equal(t, fires, watch.Stats().Fires)
}

// requireEqualStores requires that a watch of race.bss.counted saw what a run again tells.
func requireEqualStores(t *testing.T, vm *ktest.VM, bss ktsnap.Entry, watch *ktest.Watch) {
	blamed, err := vm.Blame(t.Context(), ktest.FieldOf(bss.Get("counted")))
	require.NoError(t, err)
	fires := watch.Fires()
	stores := blamed[0].Stores
	require.Greater(t, len(fires), 100)
	require.GreaterOrEqual(t, len(stores), len(fires))
	stores = stores[len(stores)-len(fires):]
	for i, f := range fires {
		s := stores[i]
		require.Equal(t, []any{s.CPU, s.Old, s.New, s.Time, s.PC}, []any{f.CPU, f.Old, f.New, f.Guest, f.PC}, "store %d", i)
		require.Equal(t, "race_enqueue", f.Function.Source)
	}
	require.Equal(t, len(fires), watch.Stats().Hits)
}

// BenchmarkLockstepWatches runs 100 ms of a guest whose CPUs schedule all the time: without watchpoints, with
// what they need, and with one that sees thousands of stores.
func BenchmarkLockstepWatches(b *testing.B) {
	for _, how := range []string{"without", "with", "seeing"} {
		b.Run(how, func(b *testing.B) { watchInLockstep(b, how != "without", how == "seeing") })
	}
}

func watchInLockstep(b *testing.B, watches, seeing bool) {
	vm, err := ktest.Start(b.Context(), ktest.Config{Seed: 7, Watches: watches, Scheduler: fault("race")})
	require.NoError(b, err)
	b.Cleanup(func() { _ = vm.Close() })
	_, err = vm.Work(b.Context(), ktest.Yield, 4)
	require.NoError(b, err)
	hits := func() int { return 0 }
	if seeing {
		snap, err := vm.TryFreeze(b.Context(), "before")
		require.NoError(b, err)
		watch, err := vm.Watch(b.Context(), ktest.FieldOf(snap.Map("race.bss").At(0).Get("counted")), ktest.WatchOptions{Every: 1 << 40})
		require.NoError(b, err)
		hits = func() int { return watch.Stats().Hits }
	}
	for b.Loop() {
		require.NoError(b, vm.Hold(b.Context(), 100*time.Millisecond))
	}
	b.ReportMetric(float64(hits())/float64(b.N), "stores/op")
}
