package ktest_test

import (
	"encoding/binary"
	"fmt"
	"path"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/vmm"
)

// A run that lost updates has, for each, a store that did not take another one into account; the last
// store has left what a snapshot holds.
func TestBlameNamesTheStoresThatRaced(t *testing.T) {
	lost := false
	for seed := uint64(7); !lost; seed++ {
		require.Less(t, seed, uint64(40), "no seed loses an update")
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { lost = losesAnUpdate(t, seed) })
	}
}

// losesAnUpdate requires of a run that loses updates that Blame tells which, and tells
// whether it is one.
func losesAnUpdate(t *testing.T, seed uint64) bool {
	vm := ktest.Boot(t, ktest.Config{Seed: seed, Scheduler: fault("race")})
	enqueued, counted := racing(t, vm)
	if enqueued <= counted { // the capture may be amid the program, which counts first
		return false
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
		before := func(s ktest.Store) bool { return s.Time <= race.First.Time && s.New+1 == race.Second.New }
		require.True(t, slices.ContainsFunc(lost.Stores, before), "%v\ndoes not count on from what was there before the first", race)
		require.Equal(t, last.PC, race.First.PC)
		require.Equal(t, last.PC, race.Second.PC)
	}
	require.Contains(t, lost.String(), "of which the second did not take the first into account")
	require.Empty(t, atomic.Races, "atomic additions lose nothing")
	return true
}

func TestBlameTellsTheHostsWritesFromStores(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{Seed: 7, Scheduler: fault("race")})
	racing(t, vm)
	counted := vm.Freeze("where").Map("race.bss").At(0).Get("counted")
	require.NoError(t, vm.Write(t.Context(), ktest.SetOf(counted, 1_000_000)))
	racing(t, vm)
	blamed, err := vm.Blame(t.Context(), ktest.FieldOf(counted))
	require.NoError(t, err)
	places := blamed[0].Stores
	require.Positive(t, blamed[0].Early, "its page was cleared")
	require.True(t, places[blamed[0].Early].Function.BPF, "%v", blamed[0])
	require.Contains(t, blamed[0].String(), "before a program could access it the kernel had written there")
	wrote := slices.IndexFunc(places, func(s ktest.Store) bool { return s.Host })
	require.Positive(t, wrote)
	require.EqualValues(t, 1_000_000, places[wrote].New)
	require.Equal(t, places[wrote-1].New, places[wrote].Old)
	require.EqualValues(t, 1_000_000, places[wrote+1].Old)
	require.NotContains(t, blamed[0].String(), "device")

	require.NoError(t, vm.Write(t.Context(), ktest.SetOf(counted, 5)))
	blamed, err = vm.Blame(t.Context(), ktest.FieldOf(counted))
	require.NoError(t, err)
	require.Regexp(t, `(?m)^\t\S+  the test \(VM\.Write\): \d+ became 5$`, blamed[0].String(), "while the guest still stands in that call")
}

// All of a guest's memory is the same when its run is run again under watches.
func TestWatchesLeaveARunAsItWas(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{Seed: 7, Scheduler: fault("race")})
	racing(t, vm)
	place := vm.Freeze("where").Map("race.bss").At(0).Get("counted")
	require.NoError(t, vm.Write(t.Context(), ktest.SetOf(place, 1000)))
	racing(t, vm) // goes on from what the host has written

	first, _ := vm.Machine().RAM().Slice(0, int(vm.Machine().RAM().Size()))
	watched := wherePlaced(t, vm.Freeze("then"), first)
	stores := 0
	again, err := vm.Machine().Again(t.Context(), watched, func(_ *vmm.VM, a vmm.Access) {
		if a.Store {
			stores++
		}
	})
	require.NoError(t, err)
	defer again.Close()
	require.NotZero(t, stores)
	second, _ := again.RAM().Slice(0, len(first))
	for at := 0; at < len(first); at += 4096 {
		require.Equal(t, first[at:at+4096], second[at:at+4096], "page %#x", at)
	}
}

// wherePlaced finds the word of the scheduler's counter in the guest's memory: what has its
// value where it lies in its page.
func wherePlaced(t *testing.T, snap *ktsnap.Snapshot, memory []byte) (words []vmm.Extent) {
	counted := snap.Map("race.bss").At(0).Get("counted")
	at, err := counted.Location()
	require.NoError(t, err)
	value, err := counted.Uint64()
	require.NoError(t, err)
	const page = 4096
	for i := int(at.Addr % page); i < len(memory); i += page {
		if binary.LittleEndian.Uint64(memory[i:]) == value {
			words = append(words, vmm.Extent{Addr: int64(i), Size: 8})
		}
	}
	require.NotEmpty(t, words)
	require.Less(t, len(words), 64)
	return words
}
