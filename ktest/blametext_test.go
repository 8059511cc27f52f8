package ktest

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/freeze"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// What happened to the memory before it was the map's is one line, and not among the last stores.
func TestBlamedTellsOfThePlaceAndNotOfItsMemory(t *testing.T) {
	clear := func(old uint64) Store {
		return Store{Time: 1, whole: true, Old: old, Function: freeze.Function{Name: "clear_page"}}
	}
	count := func(n uint64) Store {
		return Store{Time: time.Duration(n), CPU: 1, whole: true, Old: n, New: n + 1, Function: freeze.Function{Name: "bpf_prog_count", BPF: true}}
	}
	same := func(n uint64) Store {
		return Store{Time: 8, whole: true, Old: n, New: n, Function: freeze.Function{Name: "bpf_prog_empty", BPF: true}}
	}
	write := func(old, is uint64) Store { return Store{Time: 9, whole: true, Host: true, Old: old, New: is} }
	for _, row := range []struct {
		b    Blamed
		want string
	}{
		{Blamed{}, "nobody has written to .bss.n; what a device writes is not seen"},
		{Blamed{Stores: []Store{clear(7)}, Early: 1},
			".bss.n was not written to since its map was made\nbefore a program could access it the kernel had written there once, the last time " + clear(7).String()},
		{Blamed{Stores: []Store{clear(7), clear(0), count(0), write(1, 5)}, Early: 2},
			".bss.n was written to 2 times:\n\t" + count(0).String() + "\n\t9ns  the test (VM.Write): 1 became 5\nbefore a program could access it the kernel had written there 2 times, the last time " + clear(0).String()},
		{Blamed{Stores: []Store{count(1), count(3)}, Before: 4, Early: 3},
			".bss.n was written to 3 times:\n\t" + count(1).String() + "\n\ta device has written here: 2 became 3\n\t" + count(3).String()},
		{Blamed{Stores: []Store{count(1), same(2), same(2), same(2), same(2), same(2)}},
			".bss.n was written to 6 times; the last ones left it as it was; before them 1:\n\t" + count(1).String()},
		{Blamed{Stores: []Store{same(1), same(1), same(1), count(1), same(2), same(2)}, Before: 1},
			".bss.n was written to 7 times; the last 5:\n\t" + strings.Join([]string{same(1).String(), same(1).String(), count(1).String(), same(2).String(), same(2).String()}, "\n\t")},
		{Blamed{Stores: []Store{count(1)}, Races: []Race{{First: count(1), Second: count(2)}}},
			".bss.n was written to once:\n\t" + count(1).String() + "\none store raced with one of another CPU; the two:\n\t" + indent(Race{First: count(1), Second: count(2)}.String())},
	} {
		row.b.Place = ".bss.n"
		require.Equal(t, row.want, row.b.String())
	}
}

// Two places that were read half before and half after another CPU have the same accesses to tell of.
func TestASplitOfTwoPlacesIsToldOnce(t *testing.T) {
	access := func(place string, load bool, value uint64) Access {
		return Access{Store: Store{whole: true, New: value}, Place: place, Load: load}
	}
	split := Split{First: access("a", true, 1), Between: []Access{access("a", false, 2), access("b", true, 3)}, Last: access("b", false, 4)}
	told := make(map[string]bool)
	for i, place := range []string{"a", "b"} {
		b := Blamed{Place: place, Stores: []Store{{whole: true, New: 1}}, Splits: []Split{split}}
		require.Contains(t, b.String(), indent(split.String()))
		text := b.tell(told)
		require.Equal(t, i == 0, strings.Contains(text, indent(split.String())), text)
		require.Equal(t, i == 1, strings.HasSuffix(text, "as told of above"), text)
	}
}

// A value that is not there has no path.
func TestPlacesThatWereNotFoundHaveAName(t *testing.T) {
	missing := FieldOf((&ktsnap.Snapshot{}).Map("classes").Lookup(uint32(1)).Get("n"))
	require.Equal(t, "what was not found, .bss.n", names([]Target{missing, {name: ".bss.n"}}))
}
