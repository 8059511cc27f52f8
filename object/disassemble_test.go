package object_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/object"
)

func TestInstructionsReadAsTheVerifierPrintsThem(t *testing.T) {
	for _, c := range []struct {
		insn object.Insn
		want string
	}{
		{object.Insn{Op: 0x79, Dst: 6, Src: 1}, "r6 = *(u64 *)(r1 +0)"},
		{object.Insn{Op: 0x81, Dst: 6, Src: 1, Off: 4}, "r6 = *(s32 *)(r1 +4)"},
		{object.Insn{Op: 0x63, Dst: 10, Src: 2, Off: -8}, "*(u32 *)(r10 -8) = r2"},
		{object.Insn{Op: 0x7a, Dst: 10, Off: -16, Imm: 3}, "*(u64 *)(r10 -16) = 3"},
		{object.Insn{Op: 0xdb, Dst: 1, Src: 2, Imm: 0xe1}, "r2 = atomic_xchg(*(u64 *)(r1 +0), r2)"},
		{object.Insn{Op: 0xdb, Dst: 1, Src: 2, Imm: 0xf1}, "r0 = atomic_cmpxchg(*(u64 *)(r1 +0), r0, r2)"},
		{object.Insn{Op: 0xdb, Dst: 1, Src: 2, Imm: 0x01}, "r2 = atomic_fetch(*(u64 *)(r1 +0) += r2)"},
		{object.Insn{Op: 0xdb, Dst: 1, Src: 2}, "lock *(u64 *)(r1 +0) += r2"},
		{object.Insn{Op: 0xbf, Dst: 1, Src: 2}, "r1 = r2"},
		{object.Insn{Op: 0xbf, Dst: 1, Src: 2, Off: 1, Imm: 1 << 16}, "r1 = addr_space_cast(r2, 1, 0)"},
		{object.Insn{Op: 0xbf, Dst: 1, Src: 2, Off: 32}, "r1 = (s32)r2"},
		{object.Insn{Op: 0x04, Dst: 1, Imm: -4}, "w1 += -4"},
		{object.Insn{Op: 0x87, Dst: 1}, "r1 = -r1"},
		{object.Insn{Op: 0x3f, Dst: 1, Src: 2, Off: 1}, "r1 s/= r2"},
		{object.Insn{Op: 0x15, Dst: 1, Off: 3}, "if r1 == 0 goto +3"},
		{object.Insn{Op: 0x2e, Dst: 1, Src: 2, Off: 3}, "if w1 > w2 goto +3"},
		{object.Insn{Op: 0x05, Off: -2}, "goto -2"},
		{object.Insn{Op: 0x06, Imm: 70000}, "gotol +70000"},
		{object.Insn{Op: 0x85, Imm: 1}, "call bpf_map_lookup_elem"},
		{object.Insn{Op: 0x85, Imm: 99999}, "call helper 99999"},
		{object.Insn{Op: 0x85, Src: 1, Imm: 5}, "call pc+5"},
		{object.Insn{Op: 0x18, Dst: 1, Imm: 5}, "r1 = 0x5 ll"},
		{object.Insn{Op: 0xf7, Dst: 1}, "unknown opcode 0xf7"},
		{object.Insn{Op: 0x95}, "exit"},
	} {
		code := &object.Code{Insns: []object.Insn{c.insn}}
		require.Equal(t, c.want, code.Text(0))
	}
}

func TestEveryOpcodeHasAText(t *testing.T) {
	for op := range 256 {
		for _, off := range []int16{0, 1} {
			code := &object.Code{Insns: []object.Insn{{Op: uint8(op), Dst: 15, Src: 15, Off: off, Imm: -1}}}
			require.NotEmpty(t, code.Text(0))
		}
	}
}
