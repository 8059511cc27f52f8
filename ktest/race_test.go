package ktest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/freeze"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/vmm"
)

// by is an access of a CPU's at an address of code.
func by(cpu int, pc uint64, value uint64) Store {
	return Store{CPU: cpu, PC: pc, New: value, Task: freeze.Running{Addr: uint64(cpu)}, Function: freeze.Function{Name: "enqueue"}}
}

// A store races with the first one of another CPU's since its code has loaded the place.
func TestRacesAreStoresThatDidNotSeeAnother(t *testing.T) {
	type access struct {
		store bool
		Store
	}
	load := func(cpu int, pc uint64) access { return access{false, by(cpu, pc, 0)} }
	store := func(cpu int, pc, value uint64) access { return access{true, by(cpu, pc, value)} }
	for name, tt := range map[string]struct {
		accesses []access
		want     [][2]uint64 // values of the first and of the second store
	}{
		"one after the other":            {[]access{load(0, 1), store(0, 2, 1), load(1, 1), store(1, 2, 2)}, nil},
		"a lost update":                  {[]access{load(0, 1), load(1, 1), store(1, 2, 1), store(0, 2, 11)}, [][2]uint64{{1, 11}}},
		"several lost":                   {[]access{load(0, 1), store(1, 2, 1), store(1, 2, 2), store(0, 2, 11)}, [][2]uint64{{1, 11}}},
		"looked again":                   {[]access{load(0, 1), store(1, 2, 1), load(0, 2), store(0, 3, 11)}, nil},
		"without looking":                {[]access{store(1, 2, 1), store(0, 2, 11)}, nil},
		"begun anew":                     {[]access{load(0, 5), store(1, 2, 1), store(0, 2, 11)}, nil},
		"of the same CPU":                {[]access{load(0, 1), {true, Store{CPU: 0, PC: 9, Function: freeze.Function{Name: "timer"}}}, store(0, 2, 11)}, nil},
		"each of three, of which two do": {[]access{load(0, 1), load(1, 1), load(2, 1), store(2, 2, 1), store(1, 2, 2), store(0, 2, 3)}, [][2]uint64{{1, 2}, {1, 3}}},
	} {
		p := newSuspect(Target{name: "place"}, nil, nil)
		for _, a := range tt.accesses {
			if a.store {
				p.store(a.Store)
				continue
			}
			p.load(a.Store)
		}
		var got [][2]uint64
		for _, r := range p.Races {
			got = append(got, [2]uint64{r.First.New, r.Second.New})
		}
		require.Equal(t, tt.want, got, name)
	}
}

// The members of a value that is in two pieces of memory are told apart by the bytes that are
// accessed.
func TestMembersAreTheSuspectsOfAWhole(t *testing.T) {
	u32, u64 := &ctype.Shape{Kind: ctype.KindInt, Name: "u32", Size: 4}, &ctype.Shape{Kind: ctype.KindInt, Name: "u64", Size: 8}
	pair := &ctype.Shape{Kind: ctype.KindArray, Len: 2, Size: 8, Elem: u32}
	shape := &ctype.Shape{Kind: ctype.KindStruct, Name: "s", Size: 32, Members: []ctype.Member{
		{Name: "a", Type: u32}, {Name: "b", Type: u64, Offset: 8}, {Name: "c", Type: pair, Offset: 16},
	}}
	w := &whole{
		at:     ktsnap.Location{Path: "m[0]", Shape: shape, Size: 32},
		pieces: []freeze.Piece{{Addr: 0xff4, Size: 12}, {Addr: 0x8000, Size: 20}}, // b is in both
		member: make(map[int]*suspect),
	}
	touched := func(addr int64, size int) (names []string) {
		for _, p := range w.members(vmm.Access{Phys: addr, New: make([]byte, size)}) {
			names = append(names, p.Place)
		}
		return names
	}
	require.Equal(t, []string{"m[0].a"}, touched(0xff5, 1))
	require.Empty(t, touched(0xff8, 4), "padding")
	require.Empty(t, touched(0x1000, 8), "what comes after the first piece")
	require.Equal(t, []string{"m[0].b", "m[0].c[0]", "m[0].c[1]"}, touched(0x8000, 32))
	require.Equal(t, []string{"m[0].b"}, touched(0xffc, 4))
	require.Len(t, w.all, 4)
	require.Equal(t, []freeze.Piece{{Addr: 0xffc, Size: 4}, {Addr: 0x8000, Size: 4}}, w.all[1].pieces)
}

func TestWhatALineNamesIsFoundByEitherSpelling(t *testing.T) {
	line := parseLine("require.Equal(t, snap.Bss().NrQueued, uint64(n_dispatched))")
	for place, named := range map[string]bool{".bss.nr_queued": true, "m[3].stats.n_dispatched[2]": true, ".bss.nr": false, ".bss.queued": false} {
		require.Equal(t, named, line.names(place), place)
	}
}
