package ktest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
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
