package object_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	ktbtf "github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/runtime/ctype"
)

// TestTypesThatBTFLacksAreInDWARF reads what only local variables point to.
func TestTypesThatBTFLacksAreInDWARF(t *testing.T) {
	obj, err := object.Open("testdata/local.bpf.o")
	require.NoError(t, err)
	require.True(t, obj.HasDebug())
	types := obj.DebugTypes()
	require.NotContains(t, types, "struct known", "BTF has it")
	require.NotContains(t, types, "struct task_struct", "the kernel has it")
	payload := types["struct payload"]
	require.NotNil(t, payload)
	shape, err := ktbtf.NewShapes(obj.Types).Of(payload)
	require.NoError(t, err)
	require.Equal(t, 88, shape.Size)
	var members []string
	for _, m := range shape.Members {
		members = append(members, fmt.Sprintf("%d: %s", m.Offset, ctype.Declare(m.Type, m.Name)))
	}
	require.Equal(t, []string{
		"0: int pid", "4: u32 kind", "4: u32 prio", "8: u64 sum", "16: enum state state", "20: short grid[2][3]", "32: pair_t pair",
		"40: union {...}", "48: struct payload *next", "56: struct known *known", "64: struct task_struct *task", "72: (*done)()",
		"80: _Bool last", "88: u64 tail[]",
	}, members)
	require.Equal(t, []uint8{3, 7}, []uint8{shape.Members[1].Bits, shape.Members[2].Bits})
	require.Equal(t, ctype.KindFwd, shape.Members[10].Type.Elem.Kind)
	require.EqualValues(t, -1, shape.Members[4].Type.Values[2].Value)
}

func TestStrippedObjectsHaveNoDWARF(t *testing.T) {
	obj, err := object.Open("testdata/zoo.bpf.o")
	require.NoError(t, err)
	require.False(t, obj.HasDebug())
	require.Empty(t, obj.DebugTypes())
}

// TestDamagedDWARFEndsTheTypes changes each byte of what DWARF types are made of:
// the rest of the object is as it was.
func TestDamagedDWARFEndsTheTypes(t *testing.T) {
	whole, err := os.ReadFile("testdata/local.bpf.o")
	require.NoError(t, err)
	for _, name := range []string{".debug_info", ".debug_abbrev"} {
		start := contentsAt(t, whole, name)
		size := int(binary.LittleEndian.Uint64(whole[section(t, whole, name)+shSize:]))
		for i := range size {
			for _, with := range []byte{0, 1, 0x7f, 0xff} {
				damaged := append([]byte(nil), whole...)
				damaged[start+i] = with
				obj, err := read(damaged)
				require.NoError(t, err)
				shapes := ktbtf.NewShapes(obj.Types)
				for _, debug := range obj.DebugTypes() {
					_, _ = shapes.Of(debug)
				}
			}
		}
	}
}
