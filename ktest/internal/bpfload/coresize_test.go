package bpfload

import (
	"bytes"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/object"
)

// ld is a load of that many bytes.
func ld(bytes int) uint8 { return 0x60 | classLDX | sizeBits[bytes] }

func TestLoadsTakeTheSizeThatTheKernelHas(t *testing.T) {
	u8, u32, u64 := &btf.Int{Name: "u8", Size: 1}, &btf.Int{Name: "u32", Size: 4}, &btf.Int{Name: "u64", Size: 8}
	s32, s64 := &btf.Int{Name: "s32", Size: 4, Encoding: btf.Signed}, &btf.Int{Name: "s64", Size: 8, Encoding: btf.Signed}
	inner := &btf.Struct{Size: 8, Members: []btf.Member{{Name: "flags", Type: u32}, {Name: "prio", Type: s32, Offset: 32}}}
	kernels := &btf.Struct{Name: "task", Size: 40, Members: []btf.Member{
		{Type: inner}, {Name: "time", Type: u64, Offset: 64}, {Name: "bits", Type: &btf.Array{Type: u64, Index: u32, Nelems: 2}, Offset: 128},
		{Name: "last", Type: u8, Offset: 256},
	}}
	b, err := btf.NewBuilder([]btf.Type{kernels}, nil)
	require.NoError(t, err)
	raw, err := b.Marshal(nil, nil)
	require.NoError(t, err)
	spec, err := btf.LoadSpecFromReader(bytes.NewReader(raw))
	require.NoError(t, err)
	l := &loader{kernel: spec}

	// flags, prio, time, bits, last, as the object declares them
	own := &btf.Struct{Name: "task___own", Size: 64, Members: []btf.Member{
		{Name: "flags", Type: u64}, {Name: "prio", Type: s64}, {Name: "time", Type: u32},
		{Name: "bits", Type: &btf.Array{Type: u8, Index: u32, Nelems: 2}}, {Name: "last", Type: u8}, {Name: "gone", Type: u8},
	}}
	for access, row := range map[string]struct {
		off        int16
		load, want int
		isMisfit   bool
	}{
		"0:0":   {0, 8, 4, false},
		"0:1":   {4, 8, 0, true},
		"0:2":   {8, 4, 8, false},
		"0:3:1": {24, 1, 8, false},
		"0:4":   {32, 1, 1, false},
		"0:5":   {33, 1, 1, false}, // nothing of the kernel's
		"0:0:0": {0, 8, 8, false},  // into an integer: nothing that can be followed
	} {
		insn := object.Insn{Op: ld(row.load), Off: row.off}
		err := l.fit(&insn, object.CORERelo{Kind: object.COREFieldByteOffset, Type: own, Access: access})
		if row.isMisfit {
			require.Error(t, err, access)
			require.Contains(t, err.Error(), "only pointers and unsigned integers may differ in size", access)
			continue
		}
		require.NoError(t, err, access)
		require.Equal(t, ld(row.want), insn.Op, access)
	}
	insn := object.Insn{Op: ld(4), Off: 0}
	require.Error(t, l.fit(&insn, object.CORERelo{Kind: object.COREFieldByteOffset, Type: own, Access: "0:0"}), "it loads 4 of the 8 bytes")
	insn = object.Insn{Op: 0x07}
	require.NoError(t, l.fit(&insn, object.CORERelo{Kind: object.COREFieldByteOffset, Type: own, Access: "0:0"}))
	require.EqualValues(t, 0x07, insn.Op, "an addition")
}
