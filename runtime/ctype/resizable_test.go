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
