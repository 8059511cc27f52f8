package object_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	ktbtf "github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/runtime/ctype"
)

const zoo = "testdata/zoo.bpf.o"

// eachZoo runs a test on the little-endian and the big-endian zoo.
func eachZoo(t *testing.T, test func(*testing.T, *object.Object)) {
	for _, path := range []string{zoo, "testdata/zoo.eb.bpf.o"} {
		t.Run(path, func(t *testing.T) {
			obj, err := object.Open(path)
			require.NoError(t, err)
			test(t, obj)
		})
	}
}

func TestObjectsSayWhatTheyAre(t *testing.T) {
	obj, err := object.Open(zoo)
	require.NoError(t, err)
	require.Equal(t, "zoo.bpf.o", obj.Name)
	require.Equal(t, "zoo.bpf.c", obj.Source)
	require.Equal(t, "GPL", obj.License)
	require.Equal(t, binary.LittleEndian, obj.ByteOrder)
	require.Empty(t, obj.Warnings)

	obj, err = object.Open("testdata/zoo.eb.bpf.o")
	require.NoError(t, err)
	require.Equal(t, binary.BigEndian, obj.ByteOrder)
}

func TestMapsAreReadFromTheirDefinitions(t *testing.T) {
	eachZoo(t, func(t *testing.T, obj *object.Object) {
		var names []string
		for _, m := range obj.Maps {
			names = append(names, m.Name)
		}
		require.Equal(t, []string{"by_key", "outer", "ring", "arena", "opaque", "zoo_ops"}, names)

		byKey := obj.Map("by_key")
		require.Equal(t, "struct key", ktbtf.Spell(byKey.Key))
		require.Equal(t, "struct value", ktbtf.Spell(byKey.Value))
		require.Equal(t, []uint32{1, 8, 48, 1024, 1}, []uint32{byKey.Type, byKey.KeySize, byKey.ValueSize, byKey.MaxEntries, byKey.Flags})
		require.Equal(t, []string{"ktgen:by cgroup"}, byKey.Tags)

		outer := obj.Map("outer")
		require.Nil(t, outer.Value)
		require.EqualValues(t, 4, outer.ValueSize)
		require.Equal(t, "u64", ktbtf.Spell(outer.Inner.Value))
		require.EqualValues(t, 8, outer.Inner.MaxEntries)

		ring := obj.Map("ring")
		require.Nil(t, ring.Key)
		require.Zero(t, ring.KeySize)

		arena := obj.Map("arena")
		require.True(t, arena.Weak)
		require.EqualValues(t, 0x100000000000, arena.Extra)

		opaque := obj.Map("opaque")
		require.Nil(t, opaque.Value)
		require.EqualValues(t, 24, opaque.ValueSize)
		require.EqualValues(t, 1, opaque.Pinning)

		ops := obj.Map("zoo_ops")
		require.Equal(t, ".struct_ops.link", ops.Section)
		require.Equal(t, "struct sched_ops", ktbtf.Spell(ops.Value))
	})
}

func TestSectionsAreLaidOutByTheSymbolTable(t *testing.T) {
	type variable struct {
		Name         string
		Offset, Size uint32
		Static       bool
	}
	want := map[string][]variable{
		".rodata":        {{"nr_cpus", 0, 4, false}},
		".data":          {{"total", 0, 8, false}, {"shared", 8, 8, false}, {"overridable", 16, 4, false}},
		".data.percpu":   {{"custom", 0, 8, false}},
		".rodata.limits": {{"constant", 0, 8, false}},
		".addr_space.1":  {{"in_arena", 0, 8, false}},
		".bss":           {{"zeroed", 0, 4, false}, {"head", 8, 8, false}, {"subprogram.calls", 16, 4, true}, {"counter", 20, 4, true}},
		".bss.big":       {{"buffer", 0, 64, false}},
		".kconfig":       {{"CONFIG_HZ", 0, 4, false}, {"CONFIG_PREEMPT", 4, 1, false}, {"CONFIG_CC_VERSION_TEXT", 5, 5, false}},
	}
	eachZoo(t, func(t *testing.T, obj *object.Object) {
		got := make(map[string][]variable)
		for _, s := range obj.Sections {
			for _, v := range s.Vars {
				got[s.Name] = append(got[s.Name], variable{v.Name, v.Offset, v.Size, v.Static})
			}
		}
		require.Equal(t, want, got)
		require.Equal(t, object.Arena, obj.Section(".addr_space.1").Kind)
		require.Equal(t, object.BSS, obj.Section(".bss.big").Kind)
		require.Equal(t, object.ReadOnly, obj.Section(".rodata.limits").Kind)

		data := obj.Section(".data")
		require.True(t, data.Vars[1].Hidden)
		require.True(t, data.Vars[2].Weak)
	})
}

func TestEveryTypeOfAnObjectHasAShape(t *testing.T) {
	eachZoo(t, func(t *testing.T, obj *object.Object) {
		shapes := ktbtf.NewShapes(obj.Types)
		named, err := shapes.Named(obj.Types)
		require.NoError(t, err)
		require.NotEmpty(t, named)

		bss, err := shapes.Of(obj.Section(".bss").Type)
		require.NoError(t, err)
		require.Equal(t, ctype.KindSection, bss.Kind)
		require.Equal(t, 24, bss.Size)
		require.Equal(t, 8, bss.Members[1].Offset)
		require.Equal(t, "head", bss.Members[1].Name)
	})
}

func TestExternsAreListedByName(t *testing.T) {
	eachZoo(t, func(t *testing.T, obj *object.Object) {
		type extern struct {
			Name string
			Kind object.ExternKind
			Weak bool
		}
		var got []extern
		for _, e := range obj.Externs {
			got = append(got, extern{e.Name, e.Kind, e.Weak})
		}
		require.Equal(t, []extern{
			{"CONFIG_CC_VERSION_TEXT", object.ExternKconfig, false},
			{"CONFIG_HZ", object.ExternKconfig, false},
			{"CONFIG_PREEMPT", object.ExternKconfig, true},
			{"kernel_symbol", object.ExternVar, false},
			{"kfunc", object.ExternFunc, false},
			{"optional_kfunc", object.ExternFunc, true},
			{"typed_symbol", object.ExternVar, true},
		}, got)
	})
}

func TestFunctionsKnowTheirTypes(t *testing.T) {
	eachZoo(t, func(t *testing.T, obj *object.Object) {
		require.Len(t, obj.Functions, 2)
		program, sub := obj.Functions[1], obj.Functions[0]
		require.Equal(t, "select_cpu", program.Name)
		require.Equal(t, "struct_ops/select_cpu", program.Section)
		require.True(t, program.Program())
		require.Equal(t, "subprogram", sub.Name)
		require.False(t, sub.Program())
		require.Equal(t, "subprogram", sub.Type.Name)
	})
}

func TestDigestIgnoresWhatDoesNotChangeTheOutput(t *testing.T) {
	read := func(b []byte) *object.Object {
		obj, err := object.Read(bytes.NewReader(b), int64(len(b)), "zoo.bpf.o")
		require.NoError(t, err)
		return obj
	}
	raw, err := os.ReadFile(zoo)
	require.NoError(t, err)
	digest := read(raw).Digest()
	require.Len(t, digest, 64)

	// A source line in BTF's strings, and a member of a type that no map reaches.
	require.Equal(t, digest, read(bytes.ReplaceAll(raw, []byte("return head ? 1"), []byte("return head ? 2"))).Digest())
	require.NotEqual(t, digest, read(bytes.ReplaceAll(raw, []byte("\x00weight\x00"), []byte("\x00weigth\x00"))).Digest())
	require.NotEqual(t, digest, read(bytes.ReplaceAll(raw, []byte("\x00by_key\x00"), []byte("\x00by_kez\x00"))).Digest())

	big, err := object.Open("testdata/zoo.eb.bpf.o")
	require.NoError(t, err)
	require.NotEqual(t, digest, big.Digest())
}

func TestPointersAndBitfieldsOfBothByteOrders(t *testing.T) {
	for path, bit := range map[string]uint8{zoo: 3, "testdata/zoo.eb.bpf.o": 3} {
		obj, err := object.Open(path)
		require.NoError(t, err)
		value, ok := btf.As[*btf.Struct](obj.Map("by_key").Value)
		require.True(t, ok)
		dirty, err := ktbtf.FieldOf(value, "dirty")
		require.NoError(t, err)
		require.Equal(t, 12, dirty.Offset)
		require.Equal(t, bit, dirty.BitOffset)
		lo, err := ktbtf.Offset(obj.Types, "value", "hi")
		require.NoError(t, err)
		require.Equal(t, 28, lo)
	}
}
