package ktest

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/freeze"
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
