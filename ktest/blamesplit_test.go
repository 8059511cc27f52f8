package ktest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/freeze"
	"github.com/ktgen/ktgen/vmm"
)

// accesses gives an inquiry the accesses of a row: by CPU and function, a load or a store ("!") of a
// place, at ascending addresses of code.
func accesses(t *testing.T, row ...string) map[string]*suspect {
	t.Helper()
	places := map[string]*suspect{}
	f := splits{latest: make(map[int][]*call)}
	for i, s := range row {
		require.Len(t, s, 3, "CPU, place, kind")
		name := "m." + s[1:2]
		if places[name] == nil {
			places[name] = &suspect{Blamed: Blamed{Place: name}}
		}
		cpu := int(s[0] - '0')
		f.add(places[name], Access{
			Store: Store{CPU: cpu, PC: uint64(i), Function: freeze.Function{Name: "f"}}, Place: name, Load: s[2] != '!',
		})
	}
	return places
}

func TestSplitsAreAccessesThatDoNotCommute(t *testing.T) {
	for name, row := range map[string][]string{
		"a reader sees the old a and the new b":     {"0a.", "1a!", "1b!", "0b."},
		"a reader sees the new a and the old b":     {"0a!", "1a.", "1b.", "0b!"},
		"neither sees what the other has announced": {"0a.", "1a!", "1b.", "0b!"},
		"both write both":                           {"0a!", "1b!", "1a!", "0b!"},
	} {
		places := accesses(t, row...)
		for _, p := range places {
			require.Len(t, p.Splits, 1, name)
			s := p.Splits[0]
			require.Equal(t, []string{"m.a", "m.b"}, []string{s.First.Place, s.Last.Place}, name)
			require.Equal(t, []int{0, 1, 1, 0}, []int{s.First.CPU, s.Between[0].CPU, s.Between[1].CPU, s.Last.CPU}, name)
			p.Stores = []Store{{}} // a place that nobody stores to has no accesses to tell of
			require.Contains(t, p.String(), "came between")
		}
	}
	for name, row := range map[string][]string{
		"one after the other":         {"0a!", "0b!", "1a.", "1b."},
		"two readers":                 {"0a.", "1a.", "1b.", "0b."},
		"one place only":              {"0a.", "1a!", "0a!", "1b!"},
		"the second place came later": {"0a.", "1a!", "0b.", "1b!"},
		"both the other's own":        {"0a.", "0b.", "1a!", "1b!"},
		"the same CPU":                {"0a.", "0a!", "0b!", "0b."},
	} {
		for _, p := range accesses(t, row...) {
			require.Empty(t, p.Splits, name)
		}
	}
}

// What is told is the split of the places that are nearest to one another.
func TestSplitsOfOneStructAreToldFirst(t *testing.T) {
	split := func(first, last string) Split { return Split{First: Access{Place: first}, Last: Access{Place: last}} }
	b := Blamed{Place: "x.a.m", Stores: []Store{{}}, Splits: []Split{split("x.a.m", "x.a.n"), split("x.a.m", "x.b.m"), split("x.a.m", "y.c")}}
	require.Contains(t, b.String(), "x.a.n")
	require.NotContains(t, b.String(), "x.b.m")
	require.NotContains(t, b.String(), "y.c")
}

// A place that a call has read twice is told of if another CPU has changed it in between.
func TestPlacesThatAreReadTwiceSplit(t *testing.T) {
	read := func(is ...uint64) *suspect {
		p := &suspect{Blamed: Blamed{Place: "m.a", Stores: []Store{{}}}}
		f := splits{latest: make(map[int][]*call)}
		load := func(cpu, pc int, load bool, is uint64) {
			f.add(p, Access{Store: Store{CPU: cpu, PC: uint64(pc), New: is, whole: true}, Place: "m.a", Load: load})
		}
		load(0, 1, true, is[0])
		load(1, 5, false, is[1])
		load(0, 2, true, is[2])
		return p
	}
	changed := read(1, 2, 2)
	require.Len(t, changed.Splits, 1)
	require.Len(t, changed.Splits[0].Between, 1)
	require.Contains(t, changed.String(), "which so has read two values")
	require.Empty(t, read(1, 1, 1).Splits, "the store has changed nothing")
}

// However long a run is, calls that are over are not kept.
func TestSplitsKeepABoundedNumberOfCalls(t *testing.T) {
	a, b := &suspect{}, &suspect{}
	f := splits{latest: make(map[int][]*call)}
	for i := range 10_000 {
		f.add(a, Access{Store: Store{CPU: i % 2, PC: 1}})
		f.add(b, Access{Store: Store{CPU: i % 2, PC: 2}})
	}
	for _, calls := range f.latest {
		require.LessOrEqual(t, len(calls), maxCalls)
		for _, c := range calls {
			require.LessOrEqual(t, len(c.touches), maxTouches)
		}
	}
	require.LessOrEqual(t, len(a.Splits), maxSplits)
}

// A moment just after a write of the test's is named by it, not by a CPU.
func TestMomentsTellWhoHasStored(t *testing.T) {
	at := func(s Store) string {
		p := &suspect{Blamed: Blamed{Place: "x", Stores: []Store{s}}, pieces: []freeze.Piece{{Addr: 8, Size: 8}}}
		v := &visit{inquiry: &inquiry{places: []*suspect{p}}}
		return v.name(vmm.Access{Phys: 8, New: make([]byte, 8)})
	}
	require.Equal(t, "x: 1 became 2 (1s, the test (VM.Write))", at(Store{Host: true, CPU: -1, Old: 1, New: 2, Time: time.Second}))
	require.Contains(t, at(Store{CPU: 1, Old: 1, New: 2, Time: time.Second}), "x: 1 became 2 (1s, CPU 1, ")
}
