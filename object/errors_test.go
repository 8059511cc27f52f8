package object_test

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	ktbtf "github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/object"
)

func zooBytes(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile(zoo)
	require.NoError(t, err)
	return b
}

func read(b []byte) (*object.Object, error) {
	return object.Read(bytes.NewReader(b), int64(len(b)), "zoo.bpf.o")
}

// section returns where the header of a section of a little-endian ELF file
// stands in it.
func section(t testing.TB, b []byte, name string) (header int) {
	t.Helper()
	f, err := elf.NewFile(bytes.NewReader(b))
	require.NoError(t, err)
	table := int(binary.LittleEndian.Uint64(b[0x28:]))
	for i, sec := range f.Sections {
		if sec.Name == name {
			return table + 64*i
		}
	}
	t.Fatalf("no section %s", name)
	return 0
}

// Offsets in Elf64_Shdr.
const (
	shType   = 4
	shFlags  = 8
	shOffset = 24
	shSize   = 32
)

// patched returns a copy of b with a 64-bit value at an offset.
func patched(b []byte, at int, value uint64) []byte {
	b = bytes.Clone(b)
	binary.LittleEndian.PutUint64(b[at:], value)
	return b
}

func TestUnreadableObjectsAreToldApart(t *testing.T) {
	b := zooBytes(t)
	machine := bytes.Clone(b)
	binary.LittleEndian.PutUint16(machine[18:], uint16(elf.EM_X86_64))
	symtab := section(t, b, ".symtab")
	stripped := bytes.Clone(b)
	binary.LittleEndian.PutUint32(stripped[symtab+shType:], uint32(elf.SHT_NULL))

	for name, tc := range map[string]struct {
		in   []byte
		is   error
		want string
	}{
		"empty":        {nil, object.ErrNotELF, "read BPF object zoo.bpf.o: not an ELF file; give the object that clang -target bpf -c writes"},
		"text":         {[]byte("int main(void)"), object.ErrNotELF, "not an ELF file"},
		"header only":  {b[:64], object.ErrTruncated, "cut short"},
		"cut short":    {b[:len(b)/2], object.ErrTruncated, "cut short"},
		"x86":          {machine, object.ErrNotBPF, "not a BPF object: it is for EM_X86_64; compile it with clang -target bpf"},
		"no BTF":       {bytes.ReplaceAll(b, []byte(".BTF\x00"), []byte(".XXX\x00")), object.ErrNoBTF, "no BTF; compile it with clang -g"},
		"stripped":     {stripped, object.ErrStripped, "no symbol table; strip it with llvm-strip -g"},
		"BTF compress": {patched(b, section(t, b, ".BTF")+shFlags, uint64(elf.SHF_COMPRESSED)), nil, "section"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := read(tc.in)
			var typed *object.Error
			require.ErrorAs(t, err, &typed)
			require.ErrorContains(t, err, tc.want)
			if tc.is != nil {
				require.ErrorIs(t, err, tc.is)
			}
		})
	}
}

func TestMalformedBTFIsReportedWithItsSection(t *testing.T) {
	b := zooBytes(t)
	at := binary.LittleEndian.Uint64(b[section(t, b, ".BTF")+shOffset:])
	broken := bytes.Clone(b)
	binary.LittleEndian.PutUint32(broken[at+24+4:], 31<<24) // kind of type 1
	_, err := read(broken)
	var format *ktbtf.FormatError
	require.ErrorAs(t, err, &format)
	require.ErrorContains(t, err, "section .BTF+0x18: malformed BTF: type 1: kind 31 is not known")
}

func TestAllocationsDoNotFollowClaimedSizes(t *testing.T) {
	b := zooBytes(t)
	huge := patched(b, section(t, b, ".bss")+shSize, 1<<32-1)
	obj, err := read(huge)
	require.NoError(t, err)
	require.EqualValues(t, 1<<32-1, obj.Section(".bss").Size)
	require.Less(t, testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			read(huge)
		}
	}).AllocedBytesPerOp(), int64(4<<20))

	_, err = read(patched(b, section(t, b, ".bss")+shSize, 1<<32))
	require.ErrorContains(t, err, "section .bss: its size of 4294967296 bytes is more than BTF can describe")
	for _, name := range []string{".BTF", ".symtab", ".strtab", ".data"} {
		_, err = read(patched(b, section(t, b, name)+shSize, 1<<40))
		require.Error(t, err, name)
	}
}

func TestEveryTruncationIsAnError(t *testing.T) {
	b := zooBytes(t)
	for n := range b {
		_, err := read(b[:n])
		var typed *object.Error
		require.ErrorAs(t, err, &typed, "at %d bytes", n)
	}
}

func TestVariablesOutsideTheirSectionAreLeftOutWithAWarning(t *testing.T) {
	b := zooBytes(t)
	obj, err := read(patched(b, section(t, b, ".bss")+shSize, 16))
	require.NoError(t, err)
	require.Len(t, obj.Section(".bss").Vars, 2)
	require.Equal(t, []string{
		"section .bss: variable subprogram.calls ends at byte 20 of 16; it is left out",
		"section .bss: variable counter ends at byte 24 of 16; it is left out",
	}, obj.Warnings)
}

func TestMissingFilesAndDirectoriesAreErrors(t *testing.T) {
	_, err := object.Open(filepath.Join(t.TempDir(), "none.bpf.o"))
	require.ErrorIs(t, err, os.ErrNotExist)
	text := filepath.Join(t.TempDir(), "text")
	require.NoError(t, os.WriteFile(text, bytes.Repeat([]byte("int main(void);\n"), 100), 0o600))
	_, err = object.Open(text)
	require.ErrorIs(t, err, object.ErrNotELF)
	_, err = object.Open(t.TempDir())
	require.ErrorContains(t, err, "is a directory; name the .bpf.o file in it")
}

// FuzzRead: whatever the bytes, there is a typed error or an object whose
// parts hold together.
func FuzzRead(f *testing.F) {
	for _, path := range []string{zoo, "testdata/zoo.eb.bpf.o", "testdata/local.bpf.o"} {
		b, err := os.ReadFile(path)
		require.NoError(f, err)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		obj, err := read(b)
		if err != nil {
			if typed := new(object.Error); !errors.As(err, &typed) {
				t.Fatalf("untyped error %T: %v", err, err)
			}
			return
		}
		obj.Digest()
		shapes := ktbtf.NewShapes(obj.Types)
		for _, s := range obj.Sections {
			for _, v := range s.Vars {
				if uint64(v.Offset)+uint64(v.Size) > s.Size {
					t.Fatalf("%s.%s is outside", s.Name, v.Name)
				}
			}
			if s.Type != nil {
				shapes.Of(s.Type)
			}
		}
		for _, m := range obj.Maps {
			shapes.Of(m.Key)
			shapes.Of(m.Value)
		}
		for _, d := range obj.DebugTypes() {
			shapes.Of(d)
		}
	})
}
