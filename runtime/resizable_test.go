package runtime_test

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	ktrt "github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/internal/shapetest"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

type resizableBss struct {
	Total  uint64
	Counts []uint32
}

func decodeResizable(v *resizableBss, vars *ktrt.Vars, d *ktrt.Decoder) {
	v.Total = binary.LittleEndian.Uint64(vars.Next())
	v.Counts = ktrt.Flexible(vars.Next(), 0, 4, func(v *uint32, b []byte, _ *ktrt.Decoder) { *v = binary.LittleEndian.Uint32(b) }, d)
}

func resizableLayout(name string) *ktrt.Layout {
	return &ktrt.Layout{
		Object: "x.bpf.o", Package: "x", Sections: []string{"section " + name},
		Shapes: "section\t" + name + "\t16\n\t0\ttotal\tu64\n\t8\tcounts\t[2]u32\nint\tu64\t8\nint\tu32\t4\n",
	}
}

// resized is a guest whose section has other variables than the layout.
func resized(s *ctype.Shape, values []byte) *ktsnap.Snapshot {
	m := &ktsnap.Map{
		Name: s.Name, Type: ktsnap.MapTypeArray, KeySize: 4, ValueSize: s.Size, Value: s, N: 1, Total: 1, Slots: 1, Stride: s.Size,
		Program: &ktsnap.Program{Name: "x", Shapes: []*ctype.Shape{s}}, Base: 0xffff_8880_0000_0000, Values: values,
	}
	return &ktsnap.Snapshot{Maps: []*ktsnap.Map{m}}
}

func TestLastArrayOfASectionIsAsLongAsTheGuestHasIt(t *testing.T) {
	le := binary.LittleEndian
	for name, tt := range map[string]struct {
		section *ctype.Shape
		values  []byte
		want    []uint32
	}{
		"longer": {
			shapetest.Section(".bss", 24, shapetest.Member(0, "total", shapetest.U64), shapetest.Member(8, "counts", shapetest.Array(shapetest.U32, 4))),
			le.AppendUint32(le.AppendUint32(le.AppendUint32(le.AppendUint32(le.AppendUint64(nil, 9), 1), 2), 3), 4), []uint32{1, 2, 3, 4},
		},
		"shorter": {
			shapetest.Section(".bss", 12, shapetest.Member(0, "total", shapetest.U64), shapetest.Member(8, "counts", shapetest.Array(shapetest.U32, 1))),
			le.AppendUint32(le.AppendUint64(nil, 9), 1), []uint32{1},
		},
		"longer, with larger elements": {
			shapetest.Section(".bss", 32, shapetest.Member(0, "total", shapetest.U64), shapetest.Member(8, "counts", shapetest.Array(shapetest.U64, 3))),
			le.AppendUint64(le.AppendUint64(le.AppendUint64(le.AppendUint64(nil, 9), 1), 2), 3), []uint32{1, 2, 3},
		},
		"not the last any more": {
			shapetest.Section(".bss", 20, shapetest.Member(0, "counts", shapetest.Array(shapetest.U32, 3)), shapetest.Member(12, "total", shapetest.U64)),
			le.AppendUint64(le.AppendUint32(le.AppendUint32(le.AppendUint32(nil, 1), 2), 3), 9), []uint32{1, 2, 3},
		},
	} {
		snap, read := resized(tt.section, tt.values), []int(nil)
		snap.OnRead = func(at ktsnap.Location) { read = append(read, at.Size) }
		b, err := resizableLayout(".bss").Open(snap)
		require.NoError(t, err, name)
		got := ktrt.LoadSection(b, 0, decodeResizable)
		require.Equal(t, resizableBss{9, tt.want}, *got, name)
		last := &got.Counts[len(got.Counts)-1]
		require.Equal(t, uint32(len(tt.want)), *last)
		require.NotZero(t, ktrt.Addr(b, last), name)
		require.Equal(t, []int{len(tt.values)}, read, "%s: the section is read once", name)
	}
}

func TestArraysThatNobodyResizesKeepTheirLength(t *testing.T) {
	longer := func(name string) *ctype.Shape {
		return shapetest.Section(name, 20, shapetest.Member(0, "total", shapetest.U64), shapetest.Member(8, "counts", shapetest.Array(shapetest.U32, 3)))
	}
	pointers := shapetest.Section(".bss", 24, shapetest.Member(0, "total", shapetest.U64), shapetest.Member(8, "counts", shapetest.Array(shapetest.Pointer(&ctype.Shape{Kind: ctype.KindVoid}), 2)))
	scalar := shapetest.Section(".bss", 16, shapetest.Member(0, "total", shapetest.U64), shapetest.Member(8, "counts", shapetest.U64))
	behind := &ktrt.Layout{
		Object: "x.bpf.o", Package: "x", Sections: []string{"section .bss"},
		Shapes: "section\t.bss\t16\n\t0\tcounts\t[2]u32\n\t8\ttotal\tu64\nint\tu64\t8\nint\tu32\t4\n",
	}
	for name, tt := range map[string]struct {
		layout  *ktrt.Layout
		section *ctype.Shape
		want    string
	}{
		"of the loader":      {resizableLayout(".kconfig"), longer(".kconfig"), "generated u32[2], the guest has u32[3]"},
		"in front":           {behind, longer(".bss"), "generated u32[2], the guest has u32[3]"},
		"of other elements":  {resizableLayout(".bss"), pointers, "counts[]: generated u32"},
		"an array no longer": {resizableLayout(".bss"), scalar, "generated u32[2], the guest has u64"},
	} {
		_, err := tt.layout.Open(resized(tt.section, make([]byte, tt.section.Size)))
		var differs *ktrt.LayoutError
		require.ErrorAs(t, err, &differs, name)
		require.ErrorContains(t, err, tt.want, name)
	}
}
