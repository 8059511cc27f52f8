package ctype_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/runtime/ctype"
)

// task is struct { u64 id; struct { u64 key; }; struct slot { u64 key; } slots[2]; u32 flag:1; }.
func task() *ctype.Shape {
	word := &ctype.Shape{Kind: ctype.KindInt, Name: "u64", Size: 8}
	u32 := &ctype.Shape{Kind: ctype.KindInt, Name: "u32", Size: 4}
	keyed := func(name string) *ctype.Shape {
		return &ctype.Shape{Kind: ctype.KindStruct, Name: name, Size: 8, Members: []ctype.Member{{Name: "key", Type: word}}}
	}
	slots := &ctype.Shape{Kind: ctype.KindArray, Size: 16, Len: 2, Elem: &ctype.Shape{Kind: ctype.KindTypedef, Name: "slot_t", Size: 8, Elem: keyed("slot")}}
	return &ctype.Shape{Kind: ctype.KindStruct, Name: "task", Size: 40, Members: []ctype.Member{
		{Name: "id", Type: word},
		{Type: keyed(""), Offset: 8},
		{Name: "slots", Type: slots, Offset: 16},
		{Name: "flag", Type: u32, Offset: 32, Bits: 1},
	}}
}

type visited struct {
	path   string
	offset int
}

func TestWalkVisitsEachPartWithItsPlace(t *testing.T) {
	var seen []visited
	see := func(p *ctype.Part) ctype.Next {
		seen = append(seen, visited{p.Path(), p.Offset})
		require.Equal(t, p.Path() == ".flag", p.IsBitfield(), p.Path())
		return ctype.Enter
	}
	require.True(t, task().Walk(see))
	require.Equal(t, []visited{
		{"", 0}, {".id", 0}, {"", 8}, {".key", 8}, {".slots", 16},
		{".slots[0]", 16}, {".slots[0].key", 16}, {".slots[1]", 24}, {".slots[1].key", 24}, {".flag", 32},
	}, seen)

	seen = nil
	require.True(t, task().WalkTypes(see))
	require.Equal(t, []visited{
		{"", 0}, {".id", 0}, {"", 8}, {".key", 8}, {".slots", 16},
		{".slots[]", 16}, {".slots[].key", 16}, {".flag", 32},
	}, seen)
}

func TestWalkGoesWhereItIsTold(t *testing.T) {
	var seen []string
	whole := task().Walk(func(p *ctype.Part) ctype.Next {
		seen = append(seen, p.Path())
		if p.Path() == ".slots[0]" {
			return ctype.Skip
		}
		return ctype.Enter
	})
	require.True(t, whole)
	require.NotContains(t, seen, ".slots[0].key")
	require.Contains(t, seen, ".slots[1].key")

	n := 0
	whole = task().Walk(func(p *ctype.Part) ctype.Next {
		n++
		if p.Path() == ".slots[0].key" {
			return ctype.Stop
		}
		return ctype.Enter
	})
	require.False(t, whole)
	require.Equal(t, 7, n)
}

// TestWalkEndsInTypesThatDoNot has few types, and parts without end.
func TestWalkEndsInTypesThatDoNot(t *testing.T) {
	s := &ctype.Shape{Kind: ctype.KindStruct, Name: "leaf"}
	for range ctype.MaxNesting {
		s = &ctype.Shape{Kind: ctype.KindStruct, Members: []ctype.Member{{Name: "a", Type: s}, {Name: "b", Type: s}}}
	}
	all := func(*ctype.Part) ctype.Next { return ctype.Enter }
	require.False(t, s.WalkTypes(all))
	require.False(t, s.HoldsPointers())

	circle := &ctype.Shape{Kind: ctype.KindStruct, Size: 8}
	circle.Members = []ctype.Member{{Name: "a", Type: circle}}
	require.False(t, circle.Walk(all))
}
