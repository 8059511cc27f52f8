package values_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/dump"
	"github.com/ktgen/ktgen/gen/internal/values"
	"github.com/ktgen/ktgen/ktest"
	ktrt "github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/scenario"
)

// requireFlexible reads flexible arrays of globals, which have the elements that
// they are initialised with, and of unions, which have those of their siblings.
func requireFlexible(t *testing.T, vm *ktest.VM, frozen *ktsnap.Snapshot) {
	requireFlexibleTyped(t, frozen)
	requireFlexibleByPath(t, frozen)
	requireFlexibleDumped(t, frozen)
	requireFlexibleInOthers(t, frozen)
	requireFlexibleBehindPointers(t, vm)

	requireFlexibleWritten(t, vm, values.Bind(t, frozen))
}

func requireFlexibleWritten(t *testing.T, vm *ktest.VM, snap values.Snap) {
	t.Helper()
	data, bss := snap.Data(), snap.Bss()
	require.NoError(t, vm.Write(t.Context(),
		ktest.Set(snap, &data.First.Tail[2], 77), ktest.Set(snap, &data.Bitmap.Words[1], 78),
		ktest.Set(snap, &data.Second.Tail, []uint16{79, 80}), ktest.Set(snap, &data.Label.Text, "world"),
		ktest.Set(snap, &bss.InHolder.Tail[1], 81), ktest.Set(snap, &bss.InHeldAt.Tail, []uint16{82}),
	))
	written := values.Bind(t, vm.Freeze("written"))
	require.Equal(t, []uint16{11, 12, 77}, written.Data().First.Tail)
	require.Equal(t, [2]uint64{5, 78}, written.Data().Bitmap.Fixed)
	require.Equal(t, []uint16{79, 80}, written.Data().Second.Tail)
	require.Equal(t, "world", written.Data().Label.Text)
	require.EqualValues(t, 81, written.Data().Holders[1].Room[3])
	require.Equal(t, [8]uint16{2, 0, 82}, written.ArenaGlobals().HeldInArena.Room, "what is not given becomes zero")

	for want, assignment := range map[string]ktest.Assignment{
		"set .data.second.tail: it has 3 elements, and the value room for 2":        ktest.Set(snap, &data.Second.Tail, make([]uint16, 3)),
		`set .data.label.text: "worldly" has 7 bytes, and the array 6`:              ktest.Set(snap, &data.Label.Text, "worldly"),
		"set .data.holders[1].in.tail: it has 7 elements, and the value room for 6": ktest.Set(snap, &bss.InHolder.Tail, make([]uint16, 7)),
	} {
		require.ErrorContains(t, vm.Write(t.Context(), assignment), want)
	}
}

// requireFlexibleInOthers follows pointers into variables and values of maps before
// these are read: the part has as much room there as when the whole is read first.
func requireFlexibleInOthers(t *testing.T, frozen *ktsnap.Snapshot) {
	t.Helper()
	for path, want := range map[string][]uint16{
		"in_holder": {71, 72, 0, 0, 0, 0}, "in_room": {41, 42}, "in_arena_at": {81, 82}, "in_held_at": {91, 92, 0, 0, 0, 0},
	} {
		bss := values.Bind(t, frozen).Bss()
		first := map[string]*values.Flex{
			"in_holder": bss.InHolder, "in_room": bss.InRoom, "in_arena_at": bss.InArenaAt, "in_held_at": bss.InHeldAt,
		}[path]
		require.Equal(t, values.Flex{N: 2, Tail: want}, *first, path)
		for i, elem := range want {
			n, err := frozen.Var(path).Get(fmt.Sprintf("tail[%d]", i)).Uint64()
			require.NoError(t, err, path)
			require.EqualValues(t, elem, n, path)
		}
	}
	snap := values.Bind(t, frozen)
	require.Same(t, snap.Bss().InHolder, &snap.Data().Holders[1].In)
	require.Same(t, snap.Bss().InRoom, &snap.Rooms().At(2).Padded.Flex)
	require.Same(t, snap.Bss().InHeldAt, &snap.ArenaGlobals().HeldInArena.In)
}

// requireFlexibleBehindPointers follows pointers to a global and to an object of the
// kernel: a cgroup two levels down, which knows its ancestors and itself.
func requireFlexibleBehindPointers(t *testing.T, vm *ktest.VM) {
	t.Helper()
	require.NoError(t, vm.Cgroup(t.Context(), scenario.Cgroup{Name: "deep"}))
	frozen := vm.Freeze("deep")
	bss := values.Bind(t, frozen).Bss()
	require.Equal(t, values.Flex{N: 2, Tail: []uint16{21, 22}}, *bss.SecondAt)
	tail, err := frozen.Var("second_at").Get("tail[1]").Uint64()
	require.NoError(t, err)
	require.EqualValues(t, 22, tail)

	cgroup := bss.Newest.Deref()
	require.EqualValues(t, bss.Level, cgroup.Level)
	require.Positive(t, cgroup.Level)
	require.Greater(t, len(cgroup.Ancestors), int(cgroup.Level))
	require.Equal(t, bss.Newest, cgroup.Ancestors[cgroup.Level])
	byPath, err := frozen.Var("newest").Get(fmt.Sprintf("ancestors[%d]", cgroup.Level)).Uint64()
	require.NoError(t, err)
	require.Equal(t, bss.Newest.Addr(), byPath)
}

func requireFlexibleTyped(t *testing.T, s *ktsnap.Snapshot) {
	t.Helper()
	data := values.Bind(t, s).Data()
	require.Equal(t, values.Flex{N: 3, Tail: []uint16{11, 12, 13}}, data.First)
	require.EqualValues(t, 99, data.Between)
	require.Equal(t, values.Flex{N: 2, Tail: []uint16{21, 22}}, data.Second)
	require.Equal(t, values.Either{One: 31, All: []uint32{31, 32, 33}}, data.Either)
	require.Equal(t, values.Bitmap{N: 2, Fixed: [2]uint64{5, 6}, Words: []uint64{5, 6}, Behind: 7}, data.Bitmap)
	require.Equal(t, values.Flex{N: 2, Tail: []uint16{41, 42}}, data.Padded.Flex)
	require.Equal(t, values.Flex{N: 1, Tail: []uint16{51, 0}}, data.Nested.U.Flex)
	for i, room := range values.Bind(t, s).Rooms().All() {
		require.Equal(t, []uint64{5 + uint64(i), 6}, room.Bitmap.Words)
		require.Equal(t, []uint16{41, 42}, room.Padded.Flex.Tail)
	}
}

func requireFlexibleByPath(t *testing.T, s *ktsnap.Snapshot) {
	t.Helper()
	for path, want := range map[string]uint64{
		"first.tail[2]": 13, "second.tail[1]": 22, "either.all[2]": 33, "bitmap.words[1]": 6,
		"padded.flex.tail[1]": 42, "nested.u.flex.tail[0]": 51,
		"rooms[2].bitmap.words[0]": 7, "rooms[1].padded.flex.tail[1]": 42,
	} {
		v := s.Get(path)
		n, err := v.Uint64()
		require.NoError(t, err, path)
		require.Equal(t, want, n, path)
	}
	var outside *ktsnap.IndexOutOfRangeError
	require.ErrorAs(t, s.Var("first").Get("tail[3]").Err(), &outside)
	require.Equal(t, 3, outside.Len)
	require.ErrorAs(t, s.Var("bitmap").Get("words[2]").Err(), &outside)
}

func requireFlexibleDumped(t *testing.T, s *ktsnap.Snapshot) {
	t.Helper()
	var text, doc, page bytes.Buffer
	require.NoError(t, dump.Text(&text, s, dump.Options{Maps: []string{".data"}}))
	require.Contains(t, text.String(), "tail: [11, 12, 13]")
	require.NoError(t, dump.HTML(&page, s))
	require.Contains(t, page.String(), `"first":{"n":3,"tail":[11,12,13]}`)

	var table bytes.Buffer
	require.NoError(t, dump.Text(&table, s, dump.Options{Maps: []string{"rooms"}, Width: 160}))
	for _, want := range []string{"bitmap.words", "padded.flex.tail"} {
		require.Regexp(t, `\bindex .*`+want, table.String())
	}
	require.Regexp(t, `(?m)^ +2 .* \[7, 6\] +\[7, 6\] .* \[41, 42\]$`, table.String())

	require.NoError(t, dump.JSON(&doc, s, ".data"))
	require.Contains(t, doc.String(), `"first":{"n":3,"tail":[11,12,13]}`)
	require.Contains(t, doc.String(), `"fixed":[5,6],"words":[5,6]`)
	var file bytes.Buffer
	_, err := s.WriteTo(&file)
	require.NoError(t, err)
	read, err := ktsnap.Read(&file)
	require.NoError(t, err)
	requireFlexibleTyped(t, read)
	requireFlexibleByPath(t, read)
}

func TestFlexibleArraysOfFixtures(t *testing.T) {
	var rooms []values.Room
	for i := range uint64(3) {
		rooms = append(rooms, values.Room{
			Bitmap: values.Bitmap{N: 2, Words: []uint64{5 + i, 6}, Behind: 7},
			Padded: values.Padded{Flex: values.Flex{N: 2, Tail: []uint16{41, 42}}},
		})
	}
	snapshot := values.Fixture{Rooms: rooms, Data: values.Data{
		First:   values.Flex{N: 3, Tail: []uint16{11, 12, 13}},
		Between: 99,
		Second:  values.Flex{N: 2, Tail: []uint16{21, 22}},
		Either:  values.Either{All: []uint32{31, 32, 33}},
		Bitmap:  values.Bitmap{N: 2, Words: []uint64{5, 6}, Behind: 7},
		Padded:  values.Padded{Flex: values.Flex{N: 2, Tail: []uint16{41, 42}}},
		Nested:  values.Nested{N: 1, U: values.NestedU{One: [2]uint32{1, 51}}},
	}}.Snapshot(t)
	requireFlexibleTyped(t, snapshot)
	requireFlexibleByPath(t, snapshot)
	requireFlexibleDumped(t, snapshot)

	snap := values.Bind(t, snapshot)
	third := &snap.Data().First.Tail[2]
	require.Equal(t, ".data.first.tail[2]", ktrt.Path(snap, third))
	require.Equal(t, ktrt.Addr(snap, &snap.Data().First)+8, ktrt.Addr(snap, third))
	require.Equal(t, []byte{13, 0}, ktrt.Raw(snap, third))
	require.Equal(t, ktrt.Addr(snap, &snap.Data().Padded)+6, ktrt.Addr(snap, &snap.Data().Padded.Flex.Tail[1]))

	for name, data := range map[string]values.Data{
		".data.first.tail: it has 4 elements, and the value room for 3": {First: values.Flex{Tail: make([]uint16, 4)}},
		"shares bytes with": {Bitmap: values.Bitmap{Fixed: [2]uint64{1}, Words: []uint64{2}}},
	} {
		_, err := values.Fixture{Data: data}.Open()
		require.ErrorContains(t, err, name)
	}
}
