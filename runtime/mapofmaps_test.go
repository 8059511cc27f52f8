package runtime_test

import (
	"encoding/binary"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/internal/sample"
	ktrt "github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// nested is a snapshot with maps in its maps of maps: arrays of nodes in slots 1
// and 3 of per_nodes and in slot 0 of unknown_maps, and a hash for the second
// key of per_point.
func nested(t *testing.T) (s *ktsnap.Snapshot, arrays [2]*ktsnap.Map, hash *ktsnap.Map) {
	g := newGuest(t, "../internal/sample/testdata/sample.bpf.o")
	s = g.snapshot()
	add := func(outer string, slot int) *ktsnap.Map {
		for i := range g.obj.Maps {
			if from := &g.obj.Maps[i]; from.Name == outer {
				m := g.mapOf(s.Programs[0], from.Inner)
				m.ID, m.Name = uint32(1000+len(s.Maps)), "inner"
				s.Maps = append(s.Maps, m)
				put(find(t, s, outer), slot, m.ID)
				return m
			}
		}
		return nil
	}
	for _, name := range []string{"per_nodes", "per_point", "unknown_maps"} {
		clear(find(t, s, name).Values)
	}
	arrays[0], arrays[1] = add("per_nodes", 1), add("per_nodes", 3)
	hash = add("per_point", 1)
	put(find(t, s, "unknown_maps"), 0, arrays[0].ID)
	return s, arrays, hash
}

func put(outer *ktsnap.Map, slot int, id uint32) {
	binary.LittleEndian.PutUint32(outer.Values[slot*outer.Stride:], id)
}

func TestMapsInArraysAreReadAsWhatTheyAre(t *testing.T) {
	s, arrays, _ := nested(t)
	snap := sample.Bind(t, s)
	outer := snap.PerNodes()
	require.Equal(t, 4, outer.Len())
	occupied := 0
	for i, inner := range outer.All() {
		m := arrays[occupied]
		occupied++
		require.Equal(t, 2*occupied-1, i)
		require.Equal(t, m.N, inner.Len())
		for j := range m.N {
			requireDecoded(t, "inner", m.Value, m.Values[j*m.Stride:][:m.ValueSize], reflect.ValueOf(inner.At(j)).Elem())
			byPath, err := s.Map("per_nodes").At(i).Inner().At(j).Get("value").Uint64()
			require.NoError(t, err)
			require.Equal(t, inner.At(j).Value, byPath)
		}
		require.Same(t, inner.At(2), outer.At(i).At(2))
	}
	require.Equal(t, 2, occupied)
	require.Equal(t, "per_nodes[3][2].value", ktrt.Path(snap, &outer.At(3).At(2).Value))
	require.Equal(t, arrays[1].Base+2*uint64(arrays[1].Stride), ktrt.Addr(snap, outer.At(3).At(2)))
	id, ok := outer.ID(3)
	require.True(t, ok)
	require.Equal(t, arrays[1].ID, id)
	require.Equal(t, arrays[0], snap.UnknownMaps().At(0).Map())
}

func TestMapsInHashesAreReadAsWhatTheyAre(t *testing.T) {
	s, _, hash := nested(t)
	m := find(t, s, "per_point")
	m.N = 2
	put(m, 0, hash.ID)
	outer := sample.Bind(t, s).PerPoint()
	require.Equal(t, 2, outer.Len())
	for i, key := range outer.Keys() {
		inner := outer.Get(key)
		require.Equal(t, hash.N, inner.Len())
		for _, policy := range inner.Keys() {
			byPath, err := s.Map("per_point").At(i).Inner().Lookup(policy).Get("").Uint64()
			require.NoError(t, err)
			require.EqualValues(t, *inner.Get(policy), byPath)
		}
		same, ok := outer.Lookup(key)
		require.True(t, ok)
		require.Equal(t, inner.Keys(), same.Keys())
	}
	_, ok := outer.Lookup(sample.PointT{X: 1, Y: 2})
	require.False(t, ok)
	n := 0
	for range outer.All() {
		n++
	}
	require.Equal(t, 2, n)
}

func TestMapsOfMapsSayWhatIsMissing(t *testing.T) {
	s, arrays, hash := nested(t)
	tb := new(fakeTB)
	snap := sample.Bind(tb, s)
	require.Contains(t, tb.message(t, func() { snap.PerNodes().At(0) }), "At per_nodes[0]: slot 0 of per_nodes is empty")
	require.Contains(t, s.Map("per_nodes").At(0).Inner().Err().Error(), "slot 0 of per_nodes is empty")
	require.Contains(t, tb.message(t, func() { snap.PerNodes().At(4) }), "index 4 is out of range")
	require.Contains(t, tb.message(t, func() { snap.PerNodes().At(1).At(99) }), "At per_nodes[1][99]: index 99 is out of range")

	put(find(t, s, "per_nodes"), 0, 77)
	require.Contains(t, tb.message(t, func() { snap.PerNodes().At(0) }), "the inner map with id 77 is not in the snapshot")
	require.Contains(t, s.Map("per_nodes").At(0).Inner().Err().Error(), "the inner map with id 77")
	put(find(t, s, "per_nodes"), 0, hash.ID)
	require.Contains(t, tb.message(t, func() { snap.PerNodes().At(0) }), "map per_nodes[0]: generated ARRAY, the guest has HASH")
	arrays[0].Value = shapeNamed(t, s, "key")
	snap = sample.Bind(tb, s)
	require.Contains(t, tb.message(t, func() { snap.PerNodes().At(1) }), "struct node.value: generated +0 u64, the guest has no such member")
	arrays[1].Status, arrays[1].Reason, arrays[1].Total = ktsnap.Truncated, "not selected", 4
	require.Contains(t, tb.message(t, func() { snap.PerNodes().At(3).Len() }), "not selected")
	require.ErrorContains(t, s.Map("scalars").At(0).Inner().Err(), "a map of maps")
}

// Only the capture tells what is in a map of maps that does not say so.
func TestPerCPUMapsOfUnknownTypeAreNarrowed(t *testing.T) {
	s, _, _ := nested(t)
	m := find(t, s, "per_cpu")
	put(find(t, s, "unknown_maps"), 0, m.ID)
	inner := sample.Bind(t, s).UnknownMaps().At(0)
	snap, err := sample.Open(s)
	require.NoError(t, err)
	var notNarrowed *ktsnap.PerCPUNotNarrowedError
	require.ErrorAs(t, ktrt.Try(func() { snap.UnknownMaps().At(0).Value(1) }), &notNarrowed)
	for cpu := range m.Slots {
		require.Equal(t, m.Values[(m.Slots+cpu)*m.Stride:][:m.ValueSize], inner.CPU(cpu).Value(1))
	}
}

// User space makes inner maps without BTF; what the maps of the outer one are like
// is what the generated code knows.
func TestInnerMapsWithoutBTFAreReadByTheTypeOfGeneratedCode(t *testing.T) {
	s, arrays, hash := nested(t)
	m := find(t, s, "per_point")
	m.N = 1
	put(m, 0, hash.ID)
	with := sample.Bind(t, s)
	point := with.PerPoint().Keys()[0]
	node, inner := *with.PerNodes().At(1).At(2), with.PerPoint().Get(point)

	for _, m := range []*ktsnap.Map{arrays[0], hash} {
		m.Key, m.Value, m.Program = nil, nil, nil
	}
	without := sample.Bind(t, s)
	require.Equal(t, node.Value, without.PerNodes().At(1).At(2).Value)
	require.Equal(t, inner.Keys(), without.PerPoint().Get(point).Keys())
	for _, policy := range inner.Keys() {
		require.Equal(t, *inner.Get(policy), *without.PerPoint().Get(point).Get(policy))
	}

	arrays[0].ValueSize -= 8
	tb := new(fakeTB)
	snap := sample.Bind(tb, s)
	require.Contains(t, tb.message(t, func() { snap.PerNodes().At(1).At(0) }), "the guest has no BTF for the value of ")
}
