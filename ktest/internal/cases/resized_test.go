package cases_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/dump"
	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/ktest/internal/cases"
	"github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// checkResized reads an array that a loader has made n elements long, of which
// each CPU has one.
func checkResized(n int) func(*testing.T, *ktest.VM, *ktsnap.Snapshot) {
	return func(t *testing.T, vm *ktest.VM, snap *ktsnap.Snapshot) {
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
func requireResized(t *testing.T, snap *ktsnap.Snapshot, n int) {
	t.Helper()
	const size = 16 // of struct rec
	s := cases.BindResizedData(t, snap)
	i := slices.IndexFunc(snap.Maps, func(m *ktsnap.Map) bool { return m.Value != nil && m.Value.Name == ".data.recs" })
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
	requireResizedShown(t, snap, recs)
}

// requireResizedShown holds the text and the page to all of an array's elements.
func requireResizedShown(t *testing.T, snap *ktsnap.Snapshot, recs []cases.Rec) {
	t.Helper()
	var text, page bytes.Buffer
	require.NoError(t, dump.Text(&text, snap, dump.Options{Maps: []string{".data.recs"}, Zeros: true, Width: 200}))
	require.NoError(t, dump.HTML(&page, snap))
	var lines, objects []string
	for _, r := range recs {
		lines = append(lines, fmt.Sprintf("{runs: %d, last: %d}", r.Runs, r.Last))
		objects = append(objects, fmt.Sprintf(`{"runs":%d,"last":%d}`, r.Runs, r.Last))
	}
	require.Contains(t, text.String(), "recs: ["+strings.Join(lines, ", ")+"]")
	require.Contains(t, page.String(), `"recs":[`+strings.Join(objects, ",")+`]`)
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
	read, err := ktsnap.Read(&file)
	require.NoError(t, err)
	requireResized(t, read, 3)
}

// checkResizedMaps reads maps that a loader has given n entries, and a section whose
// type it has lost by making it larger.
func checkResizedMaps(n int) func(*testing.T, *ktest.VM, *ktsnap.Snapshot) {
	return func(t *testing.T, vm *ktest.VM, snap *ktsnap.Snapshot) {
		s := cases.BindResizedMaps(t, snap)
		require.Equal(t, [2]uint32{7, 9}, s.Rodata().Weights, "a text is behind it")
		requireResizedMaps(t, s, n)
		requireResizedPerCPU(t, s, n)
		requireLone(t, s, 23)

		last := s.SlotsOfCpus().CPUs() - 1
		require.NoError(t, vm.Write(t.Context(),
			ktest.Set(s, &s.Slots().At(n-1).Runs, 7), ktest.Set(s, s.SlotsOfCpus().CPU(last).At(n-1), 8), ktest.Set(s, &s.DataLone().Lone.Last, 40)))
		written := cases.BindResizedMaps(t, vm.Freeze("written"))
		require.EqualValues(t, 7, written.Slots().At(n-1).Runs)
		require.EqualValues(t, 8, *written.SlotsOfCpus().CPU(last).At(n - 1))
		requireLone(t, written, 40)
	}
}

func requireResizedMaps(t *testing.T, s cases.ResizedMapsSnap, n int) {
	t.Helper()
	snap := s.Binding().Snapshot()
	require.Equal(t, n, s.Slots().Len())
	require.Equal(t, n, s.Squares().Len())
	held, err := snap.Map("slots").Len()
	require.NoError(t, err)
	require.Equal(t, n, held)
	for i := range n {
		require.Equal(t, cases.Slot{Runs: 100 + uint64(i), Last: uint32(i) + []uint32{7, 9}[i&1]}, *s.Slots().At(i))
		require.EqualValues(t, i*i, *s.Squares().Get(uint32(i)))
		requireUint(t, uint64(100+i), snap.Map("slots").At(i).Get("runs"))
		requireUint(t, uint64(i*i), snap.Map("squares").Lookup(i).Get(""))
	}
	var outside *ktsnap.IndexOutOfRangeError
	require.ErrorAs(t, snap.Map("slots").At(n).Err(), &outside)
}

func requireResizedPerCPU(t *testing.T, s cases.ResizedMapsSnap, n int) {
	t.Helper()
	snap := s.Binding().Snapshot()
	require.Equal(t, n, s.SlotsOfCpus().Len())
	require.Equal(t, snap.Guest.CPUs, s.SlotsOfCpus().CPUs())
	require.Equal(t, n, s.SquaresOfCpus().Len())
	for cpu := range snap.Guest.CPUs {
		for i := range n {
			require.EqualValues(t, 1000*(i+1)+cpu, *s.SlotsOfCpus().CPU(cpu).At(i))
			require.EqualValues(t, i*i+cpu, *s.SquaresOfCpus().CPU(cpu).Get(uint32(i)))
			requireUint(t, uint64(1000*(i+1)+cpu), snap.Map("slots_of_cpus").CPU(cpu).At(i).Get(""))
			requireUint(t, uint64(i*i+cpu), snap.Map("squares_of_cpus").CPU(cpu).Lookup(i).Get(""))
		}
	}
}

// requireLone reads what is left of .data.lone: its variables are where they were.
func requireLone(t *testing.T, s cases.ResizedMapsSnap, last uint32) {
	t.Helper()
	require.Equal(t, cases.ResizedMapsDataLone{Lone: cases.Lone{Runs: 11, Last: last}, Behind: 33}, *s.DataLone())
	snap := s.Binding().Snapshot()
	requireUint(t, uint64(last), snap.Var("lone").Get("last"))
	requireUint(t, 33, snap.Map(".data.lone").At(0).Get("behind"))
	var text bytes.Buffer
	require.NoError(t, dump.Text(&text, snap, dump.Options{Maps: []string{".data.lone"}}))
	require.Contains(t, text.String(), fmt.Sprintf("lone: {runs: 11, last: %d}", last))
}

func requireUint(t *testing.T, want uint64, v ktsnap.Value) {
	t.Helper()
	got, err := v.Uint64()
	require.NoError(t, err)
	require.Equal(t, want, got)
}
