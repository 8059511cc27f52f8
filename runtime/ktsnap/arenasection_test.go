package ktsnap_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// Globals of an arena lie in its last pages, as many as they take, or, where
// those were not captured, in its first.
func TestGlobalsOfAnArenaAreInTheLastPagesThatTheyTake(t *testing.T) {
	const start, max = 1 << 44, 8
	for size, want := range map[int]int{1: 7, 100: 7, 4095: 7, 4096: 7, 4097: 6, 8192: 6, 8193: 5} {
		vars := section(".addr_space.1", size, member(0, "first", u8))
		arena := &ktsnap.Map{Name: "arena", Type: ktsnap.MapTypeArena, Extra: start, MaxEntries: max}
		for page := range max {
			arena.Extents = append(arena.Extents, filled(page, byte(page)))
		}
		program := &ktsnap.Program{Shapes: []*ctype.Shape{vars}}
		arena.Program = program
		s := &ktsnap.Snapshot{Programs: []*ktsnap.Program{program}, Maps: []*ktsnap.Map{arena}}
		first := s.Var("first")
		requireUint(t, uint64(want), first)
		require.EqualValues(t, start+4096*want, first.Addr(), "%d bytes", size)

		arena.Extents = arena.Extents[:4]
		first = (&ktsnap.Snapshot{Programs: s.Programs, Maps: s.Maps}).Var("first")
		requireUint(t, 0, first)
		require.EqualValues(t, start, first.Addr(), "%d bytes", size)
	}
}
