package ktest

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/freeze"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// What a line reads comes first, in its order, and the elements of an array are not all of what is told.
func TestPlacesOfTheFailedLineComeFirst(t *testing.T) {
	stored := []Store{{New: 1, Function: freeze.Function{BPF: true}}}
	slots := &whole{}
	for i := range 8 {
		owner := &suspect{Blamed: Blamed{Place: fmt.Sprintf("pools[0].slots[%d].owner", i)}}
		busy := &suspect{Blamed: Blamed{Place: fmt.Sprintf("pools[0].slots[%d].busy", i)}}
		switch i {
		case 5:
			owner.Stores = stored
		case 7:
			busy.Stores, busy.Races = stored, make([]Race, 1)
		}
		slots.all = append(slots.all, owner, busy)
	}
	bss := &whole{all: []*suspect{{Blamed: Blamed{Place: ".bss.other"}}, {Blamed: Blamed{Place: ".bss.dup"}}}}
	q := &inquiry{wholes: []*whole{slots, bss}}
	for line, want := range map[string][]string{
		`require.Zero(t, s.Bss().Dup, "%d", s.Pools().At(0).Slots[0].Owner)`: {".bss.dup", "pools[0].slots[0].owner", "pools[0].slots[7].busy"},
		`require.Zero(t, s.Bss().Dup, "%d", s.Pools().At(0).Slots[i].Owner)`: {".bss.dup", "pools[0].slots[5].owner", "pools[0].slots[0].owner", "pools[0].slots[7].busy"},
		`require.Zero(t, pool.Slots[3].Owner, s.Bss().Dup)`:                  {"pools[0].slots[3].owner", ".bss.dup", "pools[0].slots[7].busy"},
		`require.Zero(t, n)`: {"pools[0].slots[7].busy"},
	} {
		var places []string
		for _, b := range q.worthTelling(line) {
			places = append(places, b.Place)
		}
		require.Equal(t, want, places, line)
	}
}

// The entry that a variable chose is the one that was read last; others are told of by what became of them.
func TestEntriesThatAVariableChoseAreThoseReadLast(t *testing.T) {
	q := &inquiry{}
	for i := range 8 {
		owner := &suspect{Blamed: Blamed{Place: fmt.Sprintf("pools[%d].owner", i)}}
		if i == 2 {
			owner.Stores = []Store{{New: 1, Function: freeze.Function{BPF: true}}}
		}
		q.wholes = append(q.wholes, &whole{all: []*suspect{owner}, read: []int{3, 1, 4, 0, 5, 9, 2, 6}[i]})
	}
	for line, want := range map[string][]string{
		`require.Zero(t, s.Pools().At(i).Owner)`: {"pools[5].owner", "pools[2].owner"},
		`require.Zero(t, s.Pools().At(3).Owner)`: {"pools[3].owner"},
		`require.Zero(t, pool.Owner, "%d", i)`:   {"pools[5].owner", "pools[2].owner"},
	} {
		var places []string
		for _, b := range q.worthTelling(line) {
			places = append(places, b.Place)
		}
		require.Equal(t, want, places, line)
	}
}

// Of more values than are looked at, those count that were read last.
func TestValuesReadLastAreKept(t *testing.T) {
	var r reads
	at := func(i int) ktsnap.Location { return ktsnap.Location{Addr: uint64(8 * i), Size: 8} }
	for i := range 10 * maxReads {
		r.note(at(i))
	}
	r.note(at(9*maxReads + 5))
	list := r.list()
	require.Len(t, list, maxReads)
	require.Equal(t, at(9*maxReads), list[0])
	require.Equal(t, []ktsnap.Location{at(10*maxReads - 1), at(9*maxReads + 5)}, list[maxReads-2:])
}
