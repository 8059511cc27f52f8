package btf_test

import (
	"encoding/binary"
	"runtime"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	ktbtf "github.com/ktgen/ktgen/btf"
)

// rawBTF assembles BTF from the words of its type section and its strings.
func rawBTF(order binary.AppendByteOrder, strings string, words ...uint32) []byte {
	var types []byte
	for _, w := range words {
		types = order.AppendUint32(types, w)
	}
	b := append(order.AppendUint16(nil, 0xeb9f), 1, 0)
	for _, n := range []int{24, 0, len(types), len(types), len(strings)} {
		b = order.AppendUint32(b, uint32(n))
	}
	return append(append(b, types...), strings...)
}

const (
	kindInt    = 1 << 24
	kindPtr    = 2 << 24
	kindStruct = 4 << 24
)

func TestParseReadsBothByteOrders(t *testing.T) {
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		spec, err := ktbtf.Parse(rawBTF(order, "\x00u32\x00", 1, kindInt, 4, 32))
		require.NoError(t, err)
		size, err := ktbtf.SizeOf(spec, "u32")
		require.NoError(t, err)
		require.Equal(t, 4, size)
	}
}

// clang writes an enum of 8 bytes with 4 of each value if its fixed type is a typedef.
func TestEnumsWithCutValuesAreKnown(t *testing.T) {
	const kindEnum, kindEnum64 = 6 << 24, 19 << 24
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		require.Equal(t, []string{"cut"}, ktbtf.CutEnums(rawBTF(order, "\x00cut\x00ok\x00A\x00",
			1, kindEnum|1, 8, 8, 0xcafebeef,
			5, kindEnum|1, 4, 8, 0xcafebeef,
			5, kindEnum64|1, 8, 8, 1, 0,
			5, kindEnum, 8, // declared only
		)))
	}
	require.Empty(t, ktbtf.CutEnums([]byte("no BTF")))
}

func TestParseReadsLegacyBitfields(t *testing.T) {
	// struct s { unsigned a : 3, b : 7; } as clang 7 encodes it: the width, and
	// part of the offset, are the integer's.
	spec, err := ktbtf.Parse(rawBTF(binary.LittleEndian, "\x00s\x00a\x00b\x00",
		0, kindInt, 4, 3,
		0, kindInt, 4, 7|3<<16,
		1, kindStruct|2, 4, 3, 1, 0, 5, 2, 0,
	))
	require.NoError(t, err)
	f, err := ktbtf.Find(spec, "s", "b")
	require.NoError(t, err)
	require.Equal(t, []uint8{7, 3}, []uint8{f.Bits, f.BitOffset})
	s, err := spec.AnyTypeByName("s")
	require.NoError(t, err)
	shape, err := ktbtf.NewShapes(spec).Of(s)
	require.NoError(t, err)
	require.Equal(t, []uint8{7, 3}, []uint8{shape.Members[1].Bits, shape.Members[1].BitOffset})
}

func TestParseRefusesBrokenRecords(t *testing.T) {
	valid := rawBTF(binary.LittleEndian, "\x00u32\x00", 1, kindInt, 4, 32)
	with := func(at int, value uint32) []byte {
		b := append([]byte(nil), valid...)
		binary.LittleEndian.PutUint32(b[at:], value)
		return b
	}
	for name, tc := range map[string]struct {
		in   []byte
		rule string
	}{
		"empty":                 {nil, "shorter than its header: 0 bytes"},
		"magic":                 {with(0, 0), "magic is 0x0000"},
		"header beyond the end": {with(4, 1<<31), "header"},
		"types beyond the end":  {with(12, 1<<31), "(at byte 8)"},
		"strings beyond end":    {with(20, 1<<31), "(at byte 16)"},
		"strings in the types":  {with(16, 12), "5 bytes of strings at 12 behind the header and 16 bytes of types at 0 overlap (at byte 16)"},
		"unterminated strings":  {with(20, 4), "does not start and end with a NUL"},
		"unknown kind":          {with(28, 31<<24), "type 1: kind 31 is not known (at byte 24)"},
		"name in a name":        {with(24, 2), "type 1: name at 2 is not the start"},
		"name beyond strings":   {with(24, 1<<30), "type 1: name at 1073741824"},
		"data cut short":        {with(28, kindStruct|9), "its 108 bytes of data are cut short"},
		"record cut short":      {rawBTF(binary.LittleEndian, "\x00", 0, kindPtr), "record is cut short"},
		"id out of range":       {rawBTF(binary.LittleEndian, "\x00", 0, kindPtr, 2), "type 1: refers to type 2 of 1"},
		"member id":             {rawBTF(binary.LittleEndian, "\x00", 0, kindStruct|1, 4, 0, 7, 0), "type 1: refers to type 7 of 1"},
		"too many types":        {rawBTF(binary.LittleEndian, "\x00", make([]uint32, 3)...), "kind 0 is not known"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ktbtf.Parse(tc.in)
			var format *ktbtf.FormatError
			require.ErrorAs(t, err, &format)
			require.ErrorContains(t, err, tc.rule)
		})
	}
}

func TestParseBoundsTypesAndRecursion(t *testing.T) {
	chain := func(n int) []byte { // struct 1 { ptr 2 }, ptr 2 -> struct 3, ...
		words := make([]uint32, 0, 9*n)
		for id := uint32(1); id < uint32(n); id += 2 {
			words = append(words, 0, kindStruct|1, 8, 0, id+1, 0, 0, kindPtr, (id+2)%uint32(n))
		}
		return rawBTF(binary.LittleEndian, "\x00", words...)
	}
	spec, err := ktbtf.Parse(chain(30_000))
	require.NoError(t, err)
	_, err = spec.TypeByID(1)
	require.NoError(t, err)

	_, err = ktbtf.Parse(chain(200_000))
	require.ErrorContains(t, err, "types refer to one another in chains of up to 200000, more than 32768")

}

func TestTenMillionTypesAreRefusedAtTheFirstTooMany(t *testing.T) {
	const types, headerSize, recordSize = 10_000_000, 24, 12
	many := make([]byte, headerSize+types*recordSize+1) // one byte of strings
	copy(many, rawBTF(binary.LittleEndian, ""))
	for _, field := range []int{12, 16} { // length of types, offset of strings
		binary.LittleEndian.PutUint32(many[field:], types*recordSize)
	}
	binary.LittleEndian.PutUint32(many[20:], 1)
	for i := range types {
		binary.LittleEndian.PutUint32(many[headerSize+i*recordSize+4:], kindPtr)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := ktbtf.Parse(many)
	runtime.ReadMemStats(&after)
	require.EqualError(t, err, "malformed BTF: type 1048577: more than 1048576 types (at byte 12582936)")
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
}

func TestParseAcceptsManyTypesThatAreNotDeep(t *testing.T) {
	const n = 300_000
	words := make([]uint32, 0, 3*n+4)
	words = append(words, 0, kindInt, 4, 32)
	for range n {
		words = append(words, 0, kindPtr, 1)
	}
	spec, err := ktbtf.Parse(rawBTF(binary.LittleEndian, "\x00", words...))
	require.NoError(t, err)
	_, err = spec.TypeByID(n)
	require.NoError(t, err)
}

// FuzzParse: whatever the bytes, there is an error or there are types, and
// every type has a shape or an error.
func FuzzParse(f *testing.F) {
	f.Add(rawBTF(binary.LittleEndian, "\x00u32\x00", 1, kindInt, 4, 32))
	f.Add(rawBTF(binary.BigEndian, "\x00u32\x00", 1, kindInt, 4, 32))
	f.Add(marshal(f, taskStruct(), &btf.Datasec{Name: ".bss", Size: 8, Vars: []btf.VarSecinfo{
		{Type: &btf.Var{Name: "v", Type: u64, Linkage: btf.StaticVar, Tags: []string{"tag"}}, Size: 8},
	}}))
	f.Add(marshal(f, &btf.Func{Name: "f", Type: &btf.FuncProto{Return: u64, Params: []btf.FuncParam{{Name: "p", Type: char}}}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		spec, err := ktbtf.Parse(b)
		if err != nil {
			return
		}
		shapes := ktbtf.NewShapes(spec)
		for typ, err := range spec.All() {
			if err != nil {
				return
			}
			_ = ktbtf.Spell(typ)
			ktbtf.FieldOf(typ, "a.b[1]")
			shape, err := shapes.Of(typ)
			if err == nil && shape.Size < 0 {
				t.Fatalf("%s has size %d", ktbtf.Spell(typ), shape.Size)
			}
		}
	})
}
