package object_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/object"
)

// contentsAt returns where the contents of a section stand in a file.
func contentsAt(t testing.TB, b []byte, name string) int {
	t.Helper()
	return int(binary.LittleEndian.Uint64(b[section(t, b, name)+shOffset:]))
}

// Sections that lie about where they are, and relocations that lead nowhere,
// are errors that name the place.
func TestLiesOfSectionsAndRelocationsAreErrorsWithTheirPlace(t *testing.T) {
	b := zooBytes(t)
	at := func(name string) uint64 { return uint64(contentsAt(t, b, name)) }
	size := func(name string) uint64 { return binary.LittleEndian.Uint64(b[section(t, b, name)+shSize:]) }
	text := contentsAt(t, b, ".rel.text")

	for name, tc := range map[string]struct {
		in   []byte
		want string
	}{
		"a section inside another":     {patched(b, section(t, b, ".BTF.ext")+shOffset, at(".BTF")+16), "section .BTF.ext+0x0: malformed ELF: it begins at byte 0x424 of the file, inside section .BTF, which ends at 0x12fd"},
		"a section that is another":    {patched(b, section(t, b, ".data")+shOffset, at(".maps")), "malformed ELF: it begins at byte 0x358 of the file, inside section"},
		"a section that goes on":       {patched(b, section(t, b, ".data")+shSize, size(".data")+8), "section .data.percpu+0x0: malformed ELF: it begins at byte 0x340 of the file, inside section .data, which ends at 0x344"},
		"a section behind the end":     {patched(b, section(t, b, ".data")+shOffset, 1<<20), "section .data: file is cut short: it ends at byte 0x100014 of 0x25d0"},
		"a section that wraps around":  {patched(b, section(t, b, ".data")+shOffset, 1<<64-8), "malformed ELF: invalid section offset"},
		"a relocation to no symbol":    {patched(b, text+8, 99_999<<32|1), "section .rel.text+0x0: relocation names symbol 99999 of 31"},
		"a relocation to symbol 0":     {patched(b, text+8, 1), "section .rel.text+0x0: relocation names symbol 0 of 31"},
		"a relocation between words":   {patched(b, text, 3), "section .text+0x3: a relocation is not at an instruction"},
		"a relocation behind the code": {patched(b, text, 1<<40), "section .text+0x10000000000: a relocation is not at an instruction"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := read(tc.in)
			var typed *object.Error
			require.ErrorAs(t, err, &typed)
			require.ErrorContains(t, err, tc.want)
		})
	}
}

// What a relocation of struct_ops leads to is left out if it is no member.
func TestRelocationsOfStructOpsToNoMemberAreLeftOut(t *testing.T) {
	b := zooBytes(t)
	obj, err := read(b)
	require.NoError(t, err)
	require.Len(t, obj.Map("zoo_ops").Programs, 1)
	for _, offset := range []uint64{1, 4, 1 << 30, 1 << 61, 1<<64 - 8} {
		obj, err := read(patched(b, contentsAt(t, b, ".rel.struct_ops.link"), offset))
		require.NoError(t, err)
		require.Empty(t, obj.Map("zoo_ops").Programs, "at %#x", offset)
	}
}

// allocated is how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// .BTF.ext can have records of one section in many pieces. They are not copied
// once for each.
func TestPiecesOfLineInfoAreNotCopiedForEach(t *testing.T) {
	b := zooBytes(t)
	const records, pieces = 10_000, 10_000
	line := append(binary.LittleEndian.AppendUint32(nil, 16), pieceOf(records)...) // size of a record
	for range pieces {
		line = append(line, pieceOf(0)...)
	}
	ext := append(binary.LittleEndian.AppendUint16(nil, 0xeb9f), 1, 0)
	for _, n := range []int{24, 0, 0, 0, len(line)} {
		ext = binary.LittleEndian.AppendUint32(ext, uint32(n))
	}
	ext = append(ext, line...)
	long := append(bytes.Clone(b), ext...)
	header := section(t, b, ".BTF.ext")
	long = patched(patched(long, header+shOffset, uint64(len(b))), header+shSize, uint64(len(ext)))
	require.Less(t, allocated(func() {
		obj, err := read(long)
		require.NoError(t, err)
		require.NotContains(t, fmt.Sprint(obj.Warnings), ".BTF.ext")
	}), uint64(32<<20))
}

// pieceOf is n records of the section whose name is the empty string.
func pieceOf(n uint32) []byte {
	return append(binary.LittleEndian.AppendUint32(make([]byte, 4), n), make([]byte, 16*n)...)
}
