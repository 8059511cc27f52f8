package cast

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/object"
)

// A compiler moves a load and leaves out its line: what comes before it in the code
// was of another.
func TestALineNamesTheMemberOfOneAccessOnly(t *testing.T) {
	const load8, load4, add = 0x79, 0x61, 0x07
	text := "\tbool free = tree->alloc == 1;"
	code := &object.Code{
		Insns: []object.Insn{
			{Op: load4, Off: 8}, {Op: add}, {Op: load8, Off: 16}, {Op: load4, Off: 8},
			{Op: load4, Off: 8}, {Op: load4, Off: 8},
		},
		Lines: []object.Line{{Insn: 0, Text: text, Column: 20}, {Insn: 4, Text: text, Column: 20}},
	}
	require.Equal(t, "alloc", accessedMember(code, 0))
	require.Empty(t, accessedMember(code, 2), "it is moved from another line")
	require.Empty(t, accessedMember(code, 3), "the load before it is of another line")
	require.Equal(t, "alloc", accessedMember(code, 5), "a loop that is unrolled loads twice")
}
