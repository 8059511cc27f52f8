package ktest_test

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/scenario"
)

// As testdata/churn.bpf.c has them.
const (
	churnSets  = 4
	churnSlots = 8
	churnPages = 32
	pageBytes  = 4096
)

// The kernel counts pages of an arena after it has mapped them, or before it
// unmaps them, and captures stop it anywhere between.
func TestNoPageOfAnArenaIsMissingWhilePagesComeAndGo(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{CPUs: 2, Scheduler: fault("churn")})
	ctx := bound(t, 2*time.Minute)
	_, err := vm.Work(ctx, scenario.ForkExit, 3)
	require.NoError(t, err)

	t.Run("mapped and not counted", func(t *testing.T) { requireWholeBeforeCounted(t, vm) })

	noted, complete, last := 0, 0, uint64(0)
	for instants := 0; instants < 8; {
		require.NoError(t, ctx.Err(), "pages came and went between %d captures only", instants)
		snap := vm.Freeze(fmt.Sprintf("churn %d", instants))
		changes, err := snap.Var("nr_changes").Uint64()
		require.NoError(t, err)
		if changes != last {
			instants, last = instants+1, changes
		}
		if m := mapNamed(t, snap, "churned"); wholeOrSaid(t, m) {
			complete++
			noted += requireNoted(t, snap, m)
		}
	}
	require.Positive(t, noted)
	t.Logf("%d captures were complete, with %d pages that the scheduler had noted", complete, noted)
}

// requireWholeBeforeCounted captures the guest just after its kernel has mapped a page, and before it counts it.
// What a walk misses that ends when as many pages are found is the last page.
func requireWholeBeforeCounted(t *testing.T, vm *ktest.VM) {
	ctx := bound(t, time.Minute)
	before := vm.Freeze("before")
	arena := mapNamed(t, before, "churned")
	entry, err := vm.PageTableEntry(ctx, arena.Base+arena.Extra&(1<<32-1))
	require.NoError(t, err)
	w, err := vm.Watch(ctx, entry, ktest.WatchOptions{
		Capture: "mapped",
		Max:     4,
		When:    func(f ktest.Fire) bool { return f.New != 0 },
	})
	require.NoError(t, err)
	_, err = w.Await(ctx, 4)
	require.NoError(t, err)
	for _, fire := range w.Fires() {
		require.NoError(t, fire.CaptureErr)
		m := mapNamed(t, fire.Snapshot, "churned")
		require.Equal(t, ktsnap.Complete, m.Status, m.Reason)
		requireNoted(t, fire.Snapshot, m)
	}
}

// wholeOrSaid says whether an arena has all its pages. If not, it says why.
func wholeOrSaid(t *testing.T, m *ktsnap.Map) bool {
	t.Helper()
	if m.Status == ktsnap.Complete {
		return true
	}
	require.Equal(t, ktsnap.Truncated, m.Status)
	require.Contains(t, m.Reason, "it was allocating or freeing the others")
	return false
}

// requireNoted looks for the pages that the scheduler has noted, and returns how
// many they are.
func requireNoted(t *testing.T, snap *ktsnap.Snapshot, m *ktsnap.Map) (found int) {
	t.Helper()
	pages := make(map[uint32][]byte) // by the lower half of their addresses
	for _, e := range m.Extents {
		for at := 0; at < len(e.Data); at += pageBytes {
			pages[uint32(e.Addr)+uint32(at)] = e.Data[at:]
		}
	}
	for i := range (churnSets + 1) * churnSlots {
		first, err := snap.Var("live").Get(fmt.Sprintf("[%d][%d]", i/churnSlots, i%churnSlots)).Uint64()
		require.NoError(t, err)
		for page := 0; first != 0 && page < churnPages; page++ {
			data, ok := pages[uint32(first)+uint32(page*pageBytes)]
			require.True(t, ok, "page %d of those at %#x is not captured, and the map is Complete with %d pages", page, first, len(pages))
			require.EqualValues(t, i+1, binary.LittleEndian.Uint64(data))
			found++
		}
	}
	return found
}
