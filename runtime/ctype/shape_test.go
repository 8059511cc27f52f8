package ctype_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/runtime/ctype"
)

func TestPointersInValues(t *testing.T) {
	word := &ctype.Shape{Kind: ctype.KindInt, Name: "u64", Size: 8}
	pointer := &ctype.Shape{Kind: ctype.KindPointer, Size: 8, Elem: word}
	head := &ctype.Shape{Kind: ctype.KindStruct, Name: "bpf_list_head", Size: ctype.HeadSize}
	of := func(kind ctype.Kind, m ctype.Member) *ctype.Shape {
		return &ctype.Shape{Kind: kind, Name: "s", Size: 16, Members: []ctype.Member{m}}
	}
	for name, row := range map[string]struct {
		s    *ctype.Shape
		want bool
	}{
		"a number":                     {word, false},
		"a pointer":                    {pointer, true},
		"an array of pointers":         {&ctype.Shape{Kind: ctype.KindArray, Elem: pointer, Len: 2, Size: 16}, true},
		"a struct of numbers":          {of(ctype.KindStruct, ctype.Member{Name: "a", Type: word}), false},
		"a struct with a pointer":      {of(ctype.KindStruct, ctype.Member{Name: "a", Type: pointer}), true},
		"a section with such a struct": {of(ctype.KindSection, ctype.Member{Name: "a", Type: of(ctype.KindStruct, ctype.Member{Name: "b", Type: pointer})}), true},
		"a union":                      {of(ctype.KindUnion, ctype.Member{Name: "a", Type: pointer}), false},
		"a head that says of what":     {of(ctype.KindStruct, ctype.Member{Name: "q", Type: head, Tags: []string{"contains:request:node"}}), true},
		"a head that does not":         {of(ctype.KindStruct, ctype.Member{Name: "q", Type: head}), false},
	} {
		require.Equal(t, row.want, row.s.HoldsPointers(), name)
	}
}
