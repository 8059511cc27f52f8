package ctype_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/runtime/ctype"
)

func TestOnlyTheLastVariableOfASectionIsResizable(t *testing.T) {
	u32 := &ctype.Shape{Kind: ctype.KindInt, Name: "u32", Size: 4}
	two := &ctype.Shape{Kind: ctype.KindArray, Elem: u32, Len: 2, Size: 8}
	total, counts := ctype.Member{Name: "total", Type: u32}, ctype.Member{Name: "counts", Offset: 4, Type: two}
	for name, row := range map[string]struct {
		section ctype.Shape
		want    bool
	}{
		"an array":                    {ctype.Shape{Name: ".bss", Size: 12, Members: []ctype.Member{total, counts}}, true},
		"with padding behind it":      {ctype.Shape{Name: ".bss", Size: 16, Members: []ctype.Member{total, counts}}, true},
		"with a text behind it":       {ctype.Shape{Name: ".bss", Size: 15, Cut: true, Members: []ctype.Member{total, counts}}, false},
		"with constants behind it":    {ctype.Shape{Name: ".rodata", Size: 32, Members: []ctype.Member{total, counts}}, false},
		"a number":                    {ctype.Shape{Name: ".bss", Size: 4, Members: []ctype.Member{total}}, false},
		"an array of the loader's":    {ctype.Shape{Name: ".kconfig", Size: 12, Members: []ctype.Member{total, counts}}, false},
		"an array of an arena":        {ctype.Shape{Name: ".addr_space.1", Size: 12, Members: []ctype.Member{total, counts}}, false},
		"a section without variables": {ctype.Shape{Name: ".bss"}, false},
	} {
		row.section.Kind = ctype.KindSection
		i, ok := row.section.Resizable()
		require.Equal(t, row.want, ok, name)
		if ok {
			require.Equal(t, len(row.section.Members)-1, i, name)
		}
	}
}

func TestSectionsHaveTheVariablesThatThereIsRoomFor(t *testing.T) {
	u32 := &ctype.Shape{Kind: ctype.KindInt, Name: "u32", Size: 4}
	array := func(n int) *ctype.Shape {
		return &ctype.Shape{Kind: ctype.KindArray, Elem: u32, Len: n, Size: 4 * n}
	}
	total := ctype.Member{Name: "total", Type: u32}
	counted := &ctype.Shape{Kind: ctype.KindStruct, Name: "counted", Size: 4, Members: []ctype.Member{{Name: "n", Type: u32}, {Name: "items", Offset: 4, Type: array(0)}}}
	section := func(size int, vars ...ctype.Member) *ctype.Shape {
		return &ctype.Shape{Kind: ctype.KindSection, Name: ".bss", Size: size, Members: vars}
	}
	counts := func(n int) ctype.Member { return ctype.Member{Name: "counts", Offset: 4, Type: array(n)} }
	for name, row := range map[string]struct {
		section *ctype.Shape
		size    int
		want    *ctype.Shape
	}{
		"longer":                        {section(12, total, counts(2)), 24, section(24, total, counts(5))},
		"longer by half an element":     {section(12, total, counts(2)), 18, section(16, total, counts(3))},
		"shorter":                       {section(16, total, counts(3)), 8, section(8, total, counts(1))},
		"as it is, with padding":        {section(16, total, counts(2)), 16, section(16, total, counts(2))},
		"without room for an element":   {section(12, total, counts(2)), 7, section(12, total, counts(2))},
		"with a flexible array":         {section(8, total, ctype.Member{Name: "c", Offset: 4, Type: counted}), 24, section(24, total, ctype.Member{Name: "c", Offset: 4, Type: counted, Size: 20})},
		"shorter with a flexible array": {section(8, total, ctype.Member{Name: "c", Offset: 4, Type: counted}), 4, section(8, total, ctype.Member{Name: "c", Offset: 4, Type: counted})},
		"with a number at its end":      {section(4, total), 24, section(4, total)},
		"without variables":             {section(4), 24, section(4)},
	} {
		before := row.section.Members[max(0, len(row.section.Members)-1):]
		was := append([]ctype.Member(nil), before...)
		require.Equal(t, row.want, row.section.Sized(row.size), name)
		require.Equal(t, was, before, "%s: the section is another's, too", name)
	}
}
