package runtime

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// snap is what generated packages have.
type snap struct{ binding *Binding }

func (s snap) Binding() *Binding { return s.binding }

// ops is what would be generated for objectOps.
type ops struct {
	Enqueue ktsnap.Address
	Timeout uint32
	Exotic  uint64
	Name    string
}

func decodeOps(v *ops, raw []byte, _ *Decoder) {
	b := (*[40]byte)(raw)
	v.Enqueue = ktsnap.Address(binary.LittleEndian.Uint64(b[0:8]))
	v.Timeout = binary.LittleEndian.Uint32(b[8:12])
	v.Exotic = binary.LittleEndian.Uint64(b[16:24])
	v.Name = String(b[24:32])
}

var (
	u32Shape     = &ctype.Shape{Kind: ctype.KindInt, Name: "u32", Size: 4}
	u64Shape     = &ctype.Shape{Kind: ctype.KindInt, Name: "u64", Size: 8}
	nameShape    = &ctype.Shape{Kind: ctype.KindArray, Size: 8, Len: 8, Elem: &ctype.Shape{Kind: ctype.KindChar, Name: "char", Size: 1, Signed: true}}
	funcPtrShape = &ctype.Shape{Kind: ctype.KindPointer, Size: 8, Elem: &ctype.Shape{Kind: ctype.KindFunc}}
)

// objectOps is struct sched_ext_ops as an object declares it.
func objectOps() *ctype.Shape {
	return &ctype.Shape{Kind: ctype.KindStruct, Name: "sched_ext_ops", Size: 40, Members: []ctype.Member{
		{Name: "enqueue", Offset: 0, Type: funcPtrShape},
		{Name: "timeout_ms", Offset: 8, Type: u32Shape},
		{Name: "exotic", Offset: 16, Type: u64Shape},
		{Name: "name", Offset: 24, Type: nameShape},
	}}
}

// kernelOps is it as the kernel does: members elsewhere, one more, and none
// called exotic.
func kernelOps() *ctype.Shape {
	return &ctype.Shape{Kind: ctype.KindStruct, Name: "sched_ext_ops", Size: 40, Members: []ctype.Member{
		{Name: "select_cpu", Offset: 0, Type: funcPtrShape},
		{Name: "enqueue", Offset: 8, Type: funcPtrShape},
		{Name: "name", Offset: 16, Type: nameShape},
		{Name: "timeout_ms", Offset: 24, Type: u64Shape},
	}}
}

// opsSnapshot has a struct_ops map whose value is of the kernel's type, 64
// bytes behind the state that all struct_ops have.
func opsSnapshot(kernel *ctype.Shape) *ktsnap.Snapshot {
	value := &ctype.Shape{Kind: ctype.KindStruct, Name: "bpf_struct_ops_sched_ext_ops", Size: 128, Members: []ctype.Member{
		{Name: "common", Offset: 0, Type: u64Shape},
		{Name: "data", Offset: 64, Type: kernel},
	}}
	raw := make([]byte, 128)
	for i := range raw {
		raw[i] = 0xee
	}
	binary.LittleEndian.PutUint64(raw[64+8:], 0xffff_ffff_c000_1000)
	copy(raw[64+16:], "tally\x00\x00\x00")
	binary.LittleEndian.PutUint64(raw[64+24:], 5000)
	other := objectOps() // of another program, which declares less of it
	other.Members = other.Members[:1]
	return &ktsnap.Snapshot{Programs: []*ktsnap.Program{{Shapes: []*ctype.Shape{other}}}, Maps: []*ktsnap.Map{{
		Name: "tally_ops", Type: ktsnap.MapTypeStructOps, KeySize: 4, ValueSize: 128, MaxEntries: 1, Value: value,
		Total: 1, N: 1, Slots: 1, Stride: 128, Values: raw, Addrs: []uint64{0xffff_8881_0000_0000},
	}}}
}

func opsLayout() *Layout {
	var w ctype.Writer
	ref := w.Add(objectOps())
	return &Layout{
		Object: "tally.bpf.o", Package: "tally", Shapes: w.String(), Types: []string{ref},
		Maps: []MapLayout{{Name: "tally_ops", Type: ktsnap.MapTypeStructOps.String(), Value: ref}},
	}
}

func TestStructOpsAreReadAsTheKernelLaysThemOut(t *testing.T) {
	b, err := opsLayout().Open(opsSnapshot(kernelOps()))
	require.NoError(t, err)
	got := LoadStructOps(b, 0, decodeOps)
	require.Equal(t, &ops{Enqueue: 0xffff_ffff_c000_1000, Timeout: 5000, Name: "tally"}, got)
	require.Same(t, got, LoadStructOps(b, 0, decodeOps))
	require.Equal(t, uint64(0xffff_8881_0000_0040), Addr(snap{b}, got))
}

// A layout that is identical but for a member that the kernel lacks does not
// show the bytes that are in that member's place.
func TestStructOpsMembersThatTheKernelLacksAreZero(t *testing.T) {
	kernel := objectOps()
	kernel.Members[2].Name = "other"
	b, err := opsLayout().Open(opsSnapshot(kernel))
	require.NoError(t, err)
	require.Zero(t, LoadStructOps(b, 0, decodeOps).Exotic)
}

func TestStructOpsThatDoNotFitFailAtTheirReadOnly(t *testing.T) {
	kernel := kernelOps()
	kernel.Members[2].Type = u64Shape // name
	b, err := opsLayout().Open(opsSnapshot(kernel))
	require.NoError(t, err)
	err = Try(func() { LoadStructOps(b, 0, decodeOps) })
	var layout *LayoutError
	require.ErrorAs(t, err, &layout)
	require.Equal(t, []ctype.Difference{{Path: "struct sched_ext_ops.name", Want: "char[8]", Have: "u64"}}, layout.Differences)
}

func TestDamagedStructOpsAreRefused(t *testing.T) {
	for name, damage := range map[string]func(*ktsnap.Map){
		"no data":         func(m *ktsnap.Map) { m.Value.Members[1].Name = "date" },
		"data is a value": func(m *ktsnap.Map) { m.Value.Members[1].Type = u64Shape },
		"data beyond":     func(m *ktsnap.Map) { m.Value.Members[1].Offset = 120 },
		"data before":     func(m *ktsnap.Map) { m.Value.Members[1].Offset = -8 },
		"value too large": func(m *ktsnap.Map) { m.Value.Size = 1 << 20 },
		"no entry":        func(m *ktsnap.Map) { m.N, m.Total = 0, 0 },
		"not captured":    func(m *ktsnap.Map) { m.N, m.Status = 0, ktsnap.Failed },
		"no type":         func(m *ktsnap.Map) { m.Value = nil },
		"a short column":  func(m *ktsnap.Map) { m.Values = m.Values[:100] },
		"an integer":      func(m *ktsnap.Map) { m.Value = u64Shape },
	} {
		t.Run(name, func(t *testing.T) {
			s := opsSnapshot(kernelOps())
			damage(s.Maps[0])
			b, err := opsLayout().Open(s)
			require.NoError(t, err)
			err = Try(func() { LoadStructOps(b, 0, decodeOps) })
			var failed *ktsnap.Error
			require.True(t, errors.As(err, &failed), "%v", err)
		})
	}
}
