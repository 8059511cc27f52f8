package cases_test

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/ktest/internal/cases"
	"github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// checkMapsInHashes reads n maps of each hash of maps: the first two are defined by
// the scheduler, any other its loader has made, for which the kernel has no BTF.
func checkMapsInHashes(n int) func(*testing.T, *ktest.VM, *ktsnap.Snapshot) {
	return func(t *testing.T, _ *ktest.VM, snap *ktsnap.Snapshot) {
		s := cases.BindMapsInHashes(t, snap)
		require.Zero(t, s.Bss().Lost)
		require.Len(t, s.TasksOf().Keys(), n)
		require.Len(t, s.TotalsOf().Keys(), n)
		for key, tasks := range s.TasksOf().All() {
			requireVisits(t, snap, key, tasks)
		}
		for key, totals := range s.TotalsOf().All() {
			requireTotals(t, snap, key, totals)
		}
		for i, own := range []runtime.Hash[uint32, cases.Visits]{s.Tasks0(), s.Tasks1()} {
			require.Equal(t, own.Keys(), s.TasksOf().Get(uint32(i)).Keys())
		}
	}
}

// innerMap is the map that a hash of maps has for a key, by its id.
func innerMap(t *testing.T, snap *ktsnap.Snapshot, hash string, key uint32) *ktsnap.Map {
	outer := snap.Maps[slices.IndexFunc(snap.Maps, func(m *ktsnap.Map) bool { return m.Name == hash })]
	for i := range outer.N {
		if binary.LittleEndian.Uint32(outer.Keys[i*outer.KeySize:]) != key {
			continue
		}
		id := binary.LittleEndian.Uint32(outer.Values[i*outer.Stride:])
		return snap.Maps[slices.IndexFunc(snap.Maps, func(m *ktsnap.Map) bool { return m.ID == id })]
	}
	require.Failf(t, "no such entry", "%s[%d]", hash, key)
	return nil
}

// requireVisits compares a hash in a hash with the bytes in the guest's memory.
func requireVisits(t *testing.T, snap *ktsnap.Snapshot, key uint32, tasks runtime.Hash[uint32, cases.Visits]) {
	raw := innerMap(t, snap, "tasks_of", key)
	require.Positive(t, tasks.Len())
	require.Equal(t, raw.N, tasks.Len())
	for i, pid := range tasks.Keys() {
		require.Equal(t, binary.LittleEndian.Uint32(raw.Keys[i*raw.KeySize:]), pid)
		b := raw.Values[i*raw.Stride:]
		want := cases.Visits{
			Runs: binary.LittleEndian.Uint32(b), Cpu: binary.LittleEndian.Uint32(b[4:]), Last: binary.LittleEndian.Uint64(b[8:]),
		}
		got := tasks.Get(pid)
		require.Equal(t, want, *got)
		require.Positive(t, got.Runs)
		require.Less(t, got.Cpu, uint32(2))
		if key < 2 {
			require.Equal(t, key, got.Cpu)
		}
		byPath, err := snap.Map("tasks_of").Lookup(key).Inner().Lookup(pid).Get("last").Uint64()
		require.NoError(t, err)
		require.Equal(t, want.Last, byPath)
	}
}

func requireTotals(t *testing.T, snap *ktsnap.Snapshot, key uint32, totals runtime.Array[cases.Total]) {
	raw := innerMap(t, snap, "totals_of", key)
	require.Equal(t, 2, totals.Len())
	var runs uint64
	for parity, total := range totals.All() {
		b := raw.Values[parity*raw.Stride:]
		require.Equal(t, binary.LittleEndian.Uint64(b), total.Runs)
		require.Equal(t, binary.LittleEndian.Uint32(b[8:]), total.First)
		runs += total.Runs
		if total.First != 0 {
			require.EqualValues(t, parity, total.First&1)
		}
		byPath, err := snap.Map("totals_of").Lookup(key).Inner().At(parity).Get("runs").Uint64()
		require.NoError(t, err)
		require.Equal(t, total.Runs, byPath)
	}
	require.Positive(t, runs)
}
