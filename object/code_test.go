package object_test

import (
	"testing"

	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/object"
)

func codeOf(t *testing.T, obj *object.Object, section string) *object.Code {
	t.Helper()
	for _, c := range obj.Code {
		if c.Section == section {
			return c
		}
	}
	t.Fatalf("no code in %s", section)
	return nil
}

func TestInstructionsNameWhatTheyReferTo(t *testing.T) {
	eachZoo(t, func(t *testing.T, obj *object.Object) {
		code := codeOf(t, obj, "struct_ops/select_cpu")
		kinds := make(map[string]object.RefKind)
		for _, ref := range code.Refs {
			name := ref.Symbol
			if ref.Kind == object.RefData {
				name = ref.Data.Name + "+" + variableAt(ref.Data, ref.Offset)
			}
			kinds[name] = ref.Kind
		}
		require.Equal(t, map[string]object.RefKind{
			"by_key":                  object.RefMap,
			"subprogram":              object.RefFunction,
			"CONFIG_HZ":               object.RefExtern,
			"CONFIG_PREEMPT":          object.RefExtern,
			"CONFIG_CC_VERSION_TEXT":  object.RefExtern,
			"kernel_symbol":           object.RefExtern,
			"typed_symbol":            object.RefExtern,
			"optional_kfunc":          object.RefExtern,
			".rodata+nr_cpus":         object.RefData,
			".data+total":             object.RefData,
			".data+shared":            object.RefData,
			".data+overridable":       object.RefData,
			".bss+zeroed":             object.RefData,
			".bss+head":               object.RefData,
			".addr_space.1+in_arena":  object.RefData,
			".rodata.limits+constant": object.RefData,
			".data.percpu+custom":     object.RefData,
			".bss.big+buffer":         object.RefData,
		}, kinds)

		sub := codeOf(t, obj, ".text")
		data := 0
		for _, ref := range sub.Refs {
			if ref.Kind == object.RefData {
				require.Contains(t, []string{"subprogram.calls", "counter"}, variableAt(ref.Data, ref.Offset))
				data++
			}
		}
		require.Equal(t, 2, data)
	})
}

// variableAt returns the variable that starts at a byte of a section.
func variableAt(s *object.Section, offset int64) string {
	for _, v := range s.Vars {
		if int64(v.Offset) == offset {
			return v.Name
		}
	}
	return "?"
}

func TestInstructionsAreDecodedInBothByteOrders(t *testing.T) {
	eachZoo(t, func(t *testing.T, obj *object.Object) {
		code := codeOf(t, obj, "struct_ops/select_cpu")
		first, last := code.Insns[0], code.Insns[len(code.Insns)-1]
		require.Equal(t, uint8(0x95), last.Op, "exit")
		require.LessOrEqual(t, first.Dst, uint8(asm.R10))
		calls := 0
		for at, insn := range code.Insns {
			if insn.Op == 0x85 && insn.Src == 0 {
				require.EqualValues(t, asm.FnMapLookupElem, insn.Imm)
				require.Contains(t, code.Line(at).Text, "map_lookup")
				calls++
			}
		}
		require.Equal(t, 1, calls)
		require.Equal(t, "select_cpu", code.Types[0].Name)
	})
}

func TestStructOpsNameTheirPrograms(t *testing.T) {
	eachZoo(t, func(t *testing.T, obj *object.Object) {
		ops := obj.Map("zoo_ops")
		require.Len(t, ops.Programs, 1)
		require.Equal(t, "select_cpu", ops.Programs["select_cpu"].Name)
		proto, ok := btf.As[*btf.Struct](ops.Value)
		require.True(t, ok)
		require.Equal(t, "select_cpu", proto.Members[0].Name)
	})
}
