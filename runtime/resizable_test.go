package runtime_test

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	ktrt "github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ctype"
)

type resizableBss struct {
	Total  uint64
	Counts []uint32
}

func decodeResizable(v *resizableBss, vars *ktrt.Vars, d *ktrt.Decoder) {
	v.Total = binary.LittleEndian.Uint64(vars.Bytes(0))
	v.Counts = ktrt.Flexible(vars.Bytes(1), 0, 4, func(v *uint32, b []byte, _ *ktrt.Decoder) { *v = binary.LittleEndian.Uint32(b) }, d)
}

func resizableLayout(name string) *ktrt.Layout {
	return &ktrt.Layout{
		Object: "x.bpf.o", Package: "x", Sections: []string{"section " + name},
		Shapes: "section\t" + name + "\t16\n\t0\ttotal\tu64\n\t8\tcounts\t[2]u32\nint\tu64\t8\nint\tu32\t4\n",
	}
}

// resized is a guest whose section has other variables than the layout.
func resized(s *ctype.Shape, values []byte, bigEndian bool) *ktrt.Snapshot {
	m := sectionMap(s.Name, &ktrt.Program{Name: "x", Shapes: []*ctype.Shape{s}}, 0xffff_8880_0000_0000, s)
	m.Values = values
	return &ktrt.Snapshot{Guest: ktrt.Guest{BigEndian: bigEndian}, Maps: []*ktrt.Map{m}}
}

func TestLastArrayOfASectionIsAsLongAsTheGuestHasIt(t *testing.T) {
	le, be := binary.LittleEndian, binary.BigEndian
	for name, tt := range map[string]struct {
		section   *ctype.Shape
		values    []byte
		bigEndian bool
		want      []uint32
	}{
		"longer": {
			section(".bss", 24, member(0, "total", u64), member(8, "counts", array(u32, 4))),
			le.AppendUint32(le.AppendUint32(le.AppendUint32(le.AppendUint32(le.AppendUint64(nil, 9), 1), 2), 3), 4), false, []uint32{1, 2, 3, 4},
		},
		"shorter": {
			section(".bss", 12, member(0, "total", u64), member(8, "counts", array(u32, 1))),
			le.AppendUint32(le.AppendUint64(nil, 9), 1), false, []uint32{1},
		},
		"longer, with larger elements": {
			section(".bss", 32, member(0, "total", u64), member(8, "counts", array(u64, 3))),
			le.AppendUint64(le.AppendUint64(le.AppendUint64(le.AppendUint64(nil, 9), 1), 2), 3), false, []uint32{1, 2, 3},
		},
		"longer, in the other byte order": {
			section(".bss", 20, member(0, "total", u64), member(8, "counts", array(u32, 3))),
			be.AppendUint32(be.AppendUint32(be.AppendUint32(be.AppendUint64(nil, 9), 1), 2), 3), true, []uint32{1, 2, 3},
		},
		"not the last any more": {
			section(".bss", 20, member(0, "counts", array(u32, 3)), member(12, "total", u64)),
			le.AppendUint64(le.AppendUint32(le.AppendUint32(le.AppendUint32(nil, 1), 2), 3), 9), false, []uint32{1, 2, 3},
		},
	} {
		b, err := resizableLayout(".bss").Open(resized(tt.section, tt.values, tt.bigEndian))
		require.NoError(t, err, name)
		got := ktrt.LoadSection(b, 0, decodeResizable)
		require.Equal(t, resizableBss{9, tt.want}, *got, name)
		last := &got.Counts[len(got.Counts)-1]
		require.Equal(t, uint32(len(tt.want)), *last)
		require.NotZero(t, ktrt.Addr(b, last), name)
	}
}

func TestArraysThatNobodyResizesKeepTheirLength(t *testing.T) {
	longer := func(name string) *ctype.Shape {
		return section(name, 20, member(0, "total", u64), member(8, "counts", array(u32, 3)))
	}
	pointers := section(".bss", 24, member(0, "total", u64), member(8, "counts", array(pointer(void), 2)))
	scalar := section(".bss", 16, member(0, "total", u64), member(8, "counts", u64))
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
		_, err := tt.layout.Open(resized(tt.section, make([]byte, tt.section.Size), false))
		var differs *ktrt.LayoutError
		require.ErrorAs(t, err, &differs, name)
		require.ErrorContains(t, err, tt.want, name)
	}
}
