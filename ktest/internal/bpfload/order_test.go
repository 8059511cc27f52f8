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
	ordered := inOrder(flat, nil)
	for i := range ordered {
		if s := ordered[i].Symbol(); s != "" {
			names = append(names, s)
		}
	}
	require.Equal(t, []string{"main", "a", "c", "b", "d"}, names)
	require.Len(t, ordered, len(flat))
}

func TestFunctionsEndWhereTheirSymbolDoes(t *testing.T) {
	insns := asm.Instructions{
		asm.Mov.Imm(asm.R0, 0).WithSymbol("main"), asm.LoadImm(asm.R1, 1, asm.DWord), asm.Call.Label("f"), asm.Return(),
		asm.Mov.Imm(asm.R0, 1), asm.Call.Label("overridden"), asm.Return(),
		asm.Mov.Imm(asm.R0, 2).WithSymbol("f"), asm.Return(),
		asm.Mov.Imm(asm.R0, 3).WithSymbol("overridden"), asm.Return(),
	}
	ordered := inOrder(insns, map[string]uint64{"main": 5 * asm.InstructionSize})
	require.Len(t, ordered, 6)
	require.Equal(t, "f", ordered[4].Symbol())
}
