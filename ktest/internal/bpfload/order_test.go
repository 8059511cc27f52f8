package bpfload

import (
	"testing"

	"github.com/cilium/ebpf/asm"
	"github.com/stretchr/testify/require"
)

func TestFunctionsFollowTheirFirstCall(t *testing.T) {
	call := func(name string) asm.Instruction { return asm.Call.Label(name) }
	function := func(name string, calls ...string) (all asm.Instructions) {
		all = append(all, asm.Mov.Imm(asm.R0, 0).WithSymbol(name))
		for _, c := range calls {
			all = append(all, call(c))
		}
		return append(all, asm.Return())
	}
	var flat asm.Instructions
	for _, f := range []asm.Instructions{
		function("main", "a", "b", "a"), function("b", "d"), function("a", "c", "b"), function("d", "a"), function("c"),
	} {
		flat = append(flat, f...)
	}
	var names []string
	ordered := inOrder(flat)
	for i := range ordered {
		if s := ordered[i].Symbol(); s != "" {
			names = append(names, s)
		}
	}
	require.Equal(t, []string{"main", "a", "c", "b", "d"}, names)
	require.Len(t, ordered, len(flat))
}
