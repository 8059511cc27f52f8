package ktest_test

import (
	"path"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/vmm"
)

// A run that lost updates has, for each, a store that did not take another one into account; the last
// store has left what a snapshot holds.
func TestBlameNamesTheStoresThatRaced(t *testing.T) {
	for seed := uint64(7); ; seed++ {
		require.Less(t, seed, uint64(40), "no seed loses an update")
		vm := ktest.Boot(t, ktest.Config{Seed: seed, Scheduler: fault("race")})
		enqueued, counted := racing(t, vm)
		if enqueued == counted {
			require.NoError(t, vm.Close())
			continue
		}
		bss := vm.Freeze("again").Map("race.bss").At(0)
		blamed, err := vm.Blame(t.Context(), ktest.FieldOf(bss.Get("counted")), ktest.FieldOf(bss.Get("enqueued")))
		require.NoError(t, err)
		require.Len(t, blamed, 2)
		lost, atomic := blamed[0], blamed[1]
		require.Equal(t, "race.bss.counted", lost.Place)

		require.NotEmpty(t, lost.Stores)
		last := lost.Stores[len(lost.Stores)-1]
		require.Equal(t, counted, last.New)
		require.Equal(t, "race_enqueue", last.Function.Source)
		require.Equal(t, "race.bpf.c", path.Base(last.Function.File))
		require.Contains(t, last.Function.Text, "counted = before + 1")
		require.NotZero(t, last.Task.PID)
		require.NotZero(t, last.Time)

		require.NotEmpty(t, lost.Races)
		require.LessOrEqual(t, uint64(len(lost.Races)), enqueued-counted)
		for _, race := range lost.Races {
			require.NotEqual(t, race.First.CPU, race.Second.CPU)
			require.LessOrEqual(t, race.Second.New, race.First.New, "the second does not count the first")
			require.Equal(t, last.PC, race.First.PC)
			require.Equal(t, last.PC, race.Second.PC)
		}
		require.Contains(t, lost.String(), "of which the second did not take the first into account")
		require.Empty(t, atomic.Races, "atomic additions lose nothing")
		return
	}
}

// All of a guest's memory is the same when its run is run again under watches.
func TestWatchesLeaveARunAsItWas(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{Seed: 7, Scheduler: fault("race")})
	racing(t, vm)
	place := vm.Freeze("where").Map("race.bss").At(0).Get("counted")
	require.NoError(t, vm.Write(t.Context(), ktest.SetOf(place, 1000)))
	racing(t, vm) // goes on from what the host has written

	stores, memory := 0, vm.Machine().RAM().Size()
	again, err := vm.Machine().Again(t.Context(), []vmm.Extent{{Addr: 64 << 20, Size: 16 << 10}}, func(_ *vmm.VM, a vmm.Access) {
		if a.Store {
			stores++
		}
	})
	require.NoError(t, err)
	defer again.Close()
	require.NotZero(t, stores)
	first, _ := vm.Machine().RAM().Slice(0, int(memory))
	second, _ := again.RAM().Slice(0, int(memory))
	for at := 0; at < len(first); at += 4096 {
		require.Equal(t, first[at:at+4096], second[at:at+4096], "page %#x", at)
	}
}
