package cast_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/cast"
	"github.com/ktgen/ktgen/gen"
	"github.com/ktgen/ktgen/object"
)

const zoo = "../object/testdata/zoo.bpf.o"

// FuzzAnalyze: whatever the instructions, the analysis ends and its findings
// name places and targets. The instructions replace those of an object that
// has maps, globals and struct_ops to refer to; its relocations stay.
func FuzzAnalyze(f *testing.F) {
	raw, err := os.ReadFile(zoo)
	require.NoError(f, err)
	f.Add(raw[64:1024])
	f.Add([]byte{0x95, 0, 0, 0, 0, 0, 0, 0})
	f.Add(encode(
		object.Insn{Op: 0x79, Dst: 6, Src: 1},                         // r6 = ctx[0]
		object.Insn{Op: 0x07, Dst: 6, Imm: -8},                        // r6 -= 8
		object.Insn{Op: 0x7b, Dst: 10, Src: 6, Off: -8},               // spill
		object.Insn{Op: 0x85, Src: 1, Imm: -4},                        // call itself
		object.Insn{Op: 0x15, Dst: 6, Off: -4},                        // loop
		object.Insn{Op: 0x18, Dst: 1}, object.Insn{Op: 0x05, Off: -2}, // into a wide load
		object.Insn{Op: 0xdb, Dst: 10, Src: 6, Off: -8, Imm: 0xe1},
		object.Insn{Op: 0x95},
	))
	generated := make(map[string]bool)
	f.Fuzz(func(t *testing.T, b []byte) {
		obj, err := object.Open(zoo)
		require.NoError(t, err)
		replace(obj, b)
		a := cast.Run(obj, cast.Options{Listing: true})
		var found strings.Builder
		for _, finding := range a.Result().Findings {
			fmt.Fprintln(&found, finding.Container, finding.Map != nil, finding.Path, finding.Target, finding.Space, finding.Class)
			require.NotNil(t, finding.Target)
			require.True(t, finding.Container != nil || finding.Map != nil)
			for _, ev := range finding.Evidence {
				a.Chain(ev)
			}
		}
		require.NoError(t, a.List(io.Discard, ""))

		// What is generated from it does not depend on the instructions being
		// sound, either. It depends on the findings, and takes ten times as long as
		// they do, so that the same are not taken twice.
		if generated[found.String()] {
			return
		}
		generated[found.String()] = true
		model, err := gen.Build(obj, gen.Options{Package: "zoo"})
		if err != nil {
			return
		}
		_, err = model.Render()
		require.NoError(t, err)
	})
}

// replace puts instructions in the place of an object's own, half of them in
// each of its two functions.
func replace(obj *object.Object, b []byte) {
	insns := make([]object.Insn, len(b)/8)
	for i := range insns {
		raw := b[8*i:]
		insns[i] = object.Insn{
			Op:  raw[0],
			Dst: raw[1] & 0xf,
			Src: raw[1] >> 4,
			Off: int16(binary.LittleEndian.Uint16(raw[2:])),
			Imm: int32(binary.LittleEndian.Uint32(raw[4:])),
		}
	}
	half := len(insns) / 2
	for i := range obj.Functions {
		fn := &obj.Functions[i]
		body := insns[:half]
		if i > 0 {
			body = insns[half:]
		}
		fn.Size = uint64(8 * len(body))
		for _, c := range obj.Code {
			if c.Section == fn.Section {
				c.Insns = body
			}
		}
	}
}

func encode(insns ...object.Insn) []byte {
	var b []byte
	for _, i := range insns {
		b = append(b, i.Op, i.Dst|i.Src<<4)
		b = binary.LittleEndian.AppendUint16(b, uint16(i.Off))
		b = binary.LittleEndian.AppendUint32(b, uint32(i.Imm))
	}
	return b
}
