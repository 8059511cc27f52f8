package ktest_test

import (
	"bytes"
	"fmt"
	"html"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/dump"
	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// A moment that is over is visited: what was stored before it is there, and what was stored later is not. The
// guest itself stays where it is.
func TestMomentsThatAreOverAreVisited(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{Seed: 7, Scheduler: fault("race")})
	enqueued, _ := racing(t, vm)
	blamed, err := vm.Blame(t.Context(), ktest.FieldOf(vm.Freeze("where").Map("race.bss").At(0).Get("enqueued")))
	require.NoError(t, err)
	stores := blamed[0].Stores
	at := stores[len(stores)/2].Time
	before, soonAfter := uint64(0), uint64(0)
	for _, s := range stores {
		if s.Time < at {
			before = s.New
		}
		if s.Time < at+time.Millisecond {
			soonAfter = s.New
		}
	}
	snap, err := vm.At(t.Context(), at)
	require.NoError(t, err)
	then, err := snap.Map("race.bss").At(0).Get("enqueued").Uint64()
	require.NoError(t, err)
	require.GreaterOrEqual(t, then, before)
	require.LessOrEqual(t, then, soonAfter)
	require.Less(t, then, enqueued)
	_, err = vm.At(t.Context(), time.Hour)
	early := (*ktest.MomentError)(nil)
	require.ErrorAs(t, err, &early)
	require.ErrorContains(t, err, "let it run first")
	now, err := vm.Freeze("now").Map("race.bss").At(0).Get("enqueued").Uint64()
	require.NoError(t, err)
	require.Equal(t, enqueued, now)
}

// storesToCounted lets the race go on, and returns who has counted.
func storesToCounted(t *testing.T) (vm *ktest.VM, place ktest.Target, stores []ktest.Store) {
	vm = ktest.Boot(t, ktest.Config{Seed: 7, Scheduler: fault("race")})
	racing(t, vm)
	place = ktest.FieldOf(vm.Freeze("where").Map("race.bss").At(0).Get("counted"))
	blamed, err := vm.Blame(t.Context(), place)
	require.NoError(t, err)
	return vm, place, blamed[0].Stores
}

// Of stores that have one time each is visited by itself.
func TestMomentsOfStoresAreThoseJustAfterThem(t *testing.T) {
	vm, _, stores := storesToCounted(t)
	last := len(stores) - 1
	for last > len(stores)/2 && stores[last].Time != stores[last-1].Time {
		last--
	}
	for _, s := range stores[last-1 : last+1] {
		snap, err := vm.AtStore(t.Context(), s)
		require.NoError(t, err)
		counted, err := snap.Map("race.bss").At(0).Get("counted").Uint64()
		require.NoError(t, err)
		require.Equal(t, s.New, counted, "%v", s)
	}
	_, err := vm.AtStore(t.Context(), ktest.Store{Time: time.Second})
	require.ErrorContains(t, err, "takes stores that VM.Blame has told of")
	_, err = vm.Blame(t.Context())
	require.ErrorContains(t, err, "no place is named")
	for _, m := range []ktest.Moments{{Max: -1}, {Apart: -1}, {From: time.Second, To: time.Millisecond}} {
		_, err := vm.Moments(t.Context(), m)
		require.ErrorAs(t, err, new(*ktest.MomentError))
	}
}

// A page steps through the stores to a place, each as it was just after.
func TestStoresAreVisitedOneByOne(t *testing.T) {
	vm, place, stores := storesToCounted(t)
	from := len(stores) / 2
	for stores[from].Time == stores[from-1].Time {
		from++
	}
	moments, err := vm.Moments(t.Context(), ktest.Moments{From: stores[from].Time, Of: []ktest.Target{place}, Max: 5})
	require.NoError(t, err)
	require.Len(t, moments, 5)
	for i, snap := range moments {
		counted, err := snap.Map("race.bss").At(0).Get("counted").Uint64()
		require.NoError(t, err)
		require.Equal(t, stores[from+i].New, counted)
		require.Contains(t, snap.Name, fmt.Sprintf("race.bss.counted: %d became %d (%v, CPU %d, ", stores[from+i].Old, counted, stores[from+i].Time, stores[from+i].CPU))
	}
	var page bytes.Buffer
	require.NoError(t, dump.HTML(&page, moments...))
	require.Contains(t, page.String(), html.EscapeString(moments[4].Name))

	none := (*ktest.MomentError)(nil)
	_, err = vm.Moments(t.Context(), ktest.Moments{From: stores[len(stores)-1].Time + time.Microsecond, Of: []ktest.Target{place}})
	require.ErrorAs(t, err, &none)
	require.ErrorContains(t, err, "nothing was stored to race.bss.counted until ")

	apart, err := vm.Moments(t.Context(), ktest.Moments{From: stores[from].Time, Apart: 5 * time.Millisecond, Max: 3})
	require.NoError(t, err)
	require.Len(t, apart, 3)
	for i, snap := range apart[1:] {
		require.GreaterOrEqual(t, timeOf(t, snap)-timeOf(t, apart[i]), 5*time.Millisecond)
	}
}

// timeOf is the guest's time in a moment's name.
func timeOf(t *testing.T, snap *ktsnap.Snapshot) time.Duration {
	d, err := time.ParseDuration(strings.TrimPrefix(snap.Name, "at "))
	require.NoError(t, err)
	return d
}
