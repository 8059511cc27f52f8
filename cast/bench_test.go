package cast_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/cast"
	"github.com/ktgen/ktgen/object"
)

// BenchmarkAnalyze is the analysis of the fixture, a small object.
func BenchmarkAnalyze(b *testing.B) {
	obj, err := object.Open(zoo)
	require.NoError(b, err)
	for b.Loop() {
		cast.Analyze(obj)
	}
}

// BenchmarkInstructions shows how time grows with the instructions of a
// function: a mix of loads, stores, spills, branches, loops and calls.
func BenchmarkInstructions(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			obj := synthetic(b, n)
			b.ReportAllocs()
			for b.Loop() {
				cast.Analyze(obj)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/insn")
		})
	}
}

// synthetic is the fixture with about n instructions in its struct_ops program.
func synthetic(t testing.TB, n int) *object.Object {
	obj, err := object.Open(zoo)
	require.NoError(t, err)
	piece := []object.Insn{
		{Op: 0x79, Dst: 6, Src: 1},                       // r6 = ctx[0]
		{Op: 0xbf, Dst: 7, Src: 1},                       // r7 = r1
		{Op: 0x7b, Dst: 10, Src: 6, Off: -8},             // spill
		{Op: 0x79, Dst: 2, Src: 10, Off: -8},             // and back
		{Op: 0x15, Dst: 2, Off: 2},                       // if r2 == 0
		{Op: 0xbf, Dst: 3, Src: 2},                       //
		{Op: 0x07, Dst: 3, Imm: 8},                       // r3 += 8
		{Op: 0x79, Dst: 4, Src: 7, Off: 8},               // r4 = ctx[1]
		{Op: 0x57, Dst: 4, Imm: 7},                       // r4 &= 7
		{Op: 0x67, Dst: 4, Imm: 3},                       // r4 <<= 3
		{Op: 0xbf, Dst: 5, Src: 10},                      //
		{Op: 0x07, Dst: 5, Imm: -64},                     //
		{Op: 0x7b, Dst: 5, Src: 6},                       // store to the stack
		{Op: 0x07, Dst: 8, Imm: 1},                       // r8++
		{Op: 0xa5, Dst: 8, Off: -5, Imm: 10},             // loop while r8 < 10
		{Op: 0x85, Imm: 5},                               // call bpf_ktime_get_ns
		{Op: 0xbf, Dst: 1, Src: 7},                       // r1 = r7
		{Op: 0xbf, Dst: 9, Src: 0},                       //
		{Op: 0xdb, Dst: 10, Src: 9, Off: -16, Imm: 0xe1}, // exchange
	}
	insns := []object.Insn{{Op: 0xb7, Dst: 8}}
	for len(insns)+len(piece) < n {
		insns = append(insns, piece...)
	}
	insns = append(insns, object.Insn{Op: 0xb7}, object.Insn{Op: 0x95})
	for i := range obj.Functions {
		fn := &obj.Functions[i]
		if !fn.Program() {
			continue
		}
		fn.Offset, fn.Size = 0, uint64(8*len(insns))
		for _, c := range obj.Code {
			if c.Section == fn.Section {
				c.Insns, c.Refs, c.Relos, c.Lines = insns, nil, nil, nil
			}
		}
	}
	return obj
}
