package cases_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/dump"
	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/ktest/internal/cases"
	"github.com/ktgen/ktgen/runtime"
)

// checkResized reads an array that a loader has made n elements long, of which
// each CPU has one.
func checkResized(n int) func(*testing.T, *ktest.VM, *runtime.Snapshot) {
	return func(t *testing.T, vm *ktest.VM, snap *runtime.Snapshot) {
		requireResized(t, snap, n)
		s := cases.BindResizedData(t, snap)
		require.Positive(t, s.DataRecs().Recs[0].Runs)
		require.EqualValues(t, n, s.Rodata().NrCpus)
		require.Positive(t, s.Bss().Total)

		require.NoError(t, vm.Write(t.Context(), ktest.Set(s, &s.DataRecs().Recs[n-1].Runs, 1<<40)))
		written := cases.BindResizedData(t, vm.Freeze("written"))
		require.GreaterOrEqual(t, written.DataRecs().Recs[n-1].Runs, uint64(1<<40))
		requireResized(t, written.Binding().Snapshot(), n)
	}
}

// requireResized compares what is read in each way with the bytes of the map.
func requireResized(t *testing.T, snap *runtime.Snapshot, n int) {
	t.Helper()
	const size = 16 // of struct rec
	s := cases.BindResizedData(t, snap)
	i := slices.IndexFunc(snap.Maps, func(m *runtime.Map) bool { return m.Value != nil && m.Value.Name == ".data.recs" })
	require.GreaterOrEqual(t, i, 0)
	all := snap.Maps[i].Values
	require.Equal(t, n*size, snap.Maps[i].ValueSize)

	recs := s.DataRecs().Recs
	require.Len(t, recs, n)
	for i, rec := range recs {
		require.Equal(t, binary.LittleEndian.Uint64(all[i*size:]), rec.Runs)
		require.Equal(t, binary.LittleEndian.Uint32(all[i*size+8:]), rec.Last)
		byPath, err := snap.Var("recs").Get(fmt.Sprintf("[%d].runs", i)).Uint64()
		require.NoError(t, err)
		require.Equal(t, rec.Runs, byPath)
		require.Equal(t, all[i*size:][:size], runtime.Raw(s, &recs[i]))
	}
	recsByPath := snap.Var("recs")
	require.Equal(t, n, recsByPath.Len())
	var text bytes.Buffer
	require.NoError(t, dump.JSON(&text, snap))
	require.Contains(t, text.String(), fmt.Sprintf(`{"runs":%d,"last":%d}]`, recs[n-1].Runs, recs[n-1].Last))
}

func TestArraysOfFixturesAreAsLongAsGiven(t *testing.T) {
	given := cases.ResizedDataDataRecs{Recs: []cases.Rec{{Runs: 1, Last: 2}, {Runs: 3, Last: 4}, {Runs: 5}}}
	f := cases.ResizedDataFixture{DataRecs: given}
	snap := f.Snapshot(t)
	requireResized(t, snap, 3)
	require.Equal(t, given, *cases.BindResizedData(t, snap).DataRecs())
	requireResized(t, cases.ResizedDataFixture{}.Snapshot(t), 1)

	var file bytes.Buffer
	_, err := snap.WriteTo(&file)
	require.NoError(t, err)
	read, err := runtime.Read(&file)
	require.NoError(t, err)
	requireResized(t, read, 3)
}
