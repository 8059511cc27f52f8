package kernel_test

import (
	"bytes"
	"compress/gzip"
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
)

// This file builds small kernel images that are whole as far as this package
// looks.

// traits are the parts of a made kernel.
type traits struct {
	release string
	strings []string // C strings in its read-only data
	btf     []string // strings in its BTF, nil for no .BTF
	pvh     bool
}

// fit returns the traits of a kernel that ktgen can use.
func fit(release string) traits {
	return traits{
		release: release,
		strings: []string{"virtio-pci", "virtio_console", "serial8250"},
		btf:     []string{"int", "bpf_struct_ops_sched_ext_ops"},
		pvh:     true,
	}
}

// vmlinux makes an ELF file with one loaded segment, which holds everything.
func (k traits) vmlinux() []byte {
	const headers = 64 + 2*56
	var data bytes.Buffer
	data.Write(make([]byte, headers))
	data.WriteString("Linux version " + k.release + " (builder@host) #1 SMP\n\x00")
	for _, s := range k.strings {
		data.WriteString(s + "\x00")
	}
	for data.Len()%8 != 0 {
		data.WriteByte(0)
	}
	btfAt := data.Len()
	data.Write(k.btfSection())
	btfSize := data.Len() - btfAt
	notesAt := data.Len()
	data.Write(k.notes())
	notesSize := data.Len() - notesAt
	namesAt := data.Len()
	data.WriteString("\x00.BTF\x00.shstrtab\x00")
	namesSize := data.Len() - namesAt
	for data.Len()%8 != 0 {
		data.WriteByte(0)
	}
	sectionsAt := data.Len()

	write := func(w *bytes.Buffer, v any) { _ = binary.Write(w, binary.LittleEndian, v) }
	sections := []elf.Section64{{}, {
		Name: 1, Type: uint32(elf.SHT_PROGBITS), Off: uint64(btfAt), Size: uint64(btfSize),
	}, {
		Name: 6, Type: uint32(elf.SHT_STRTAB), Off: uint64(namesAt), Size: uint64(namesSize),
	}}
	if k.btf == nil {
		sections[1].Type = uint32(elf.SHT_NULL)
		sections[1].Name = 0
	}
	for _, section := range sections {
		write(&data, section)
	}
	var head bytes.Buffer
	write(&head, elf.Header64{
		Ident: [16]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: 1,
		Phoff: 64, Shoff: uint64(sectionsAt), Ehsize: 64, Phentsize: 56, Phnum: 2,
		Shentsize: 64, Shnum: uint16(len(sections)), Shstrndx: 2,
	})
	write(&head, elf.Prog64{Type: uint32(elf.PT_LOAD), Filesz: uint64(namesAt), Memsz: uint64(namesAt)})
	write(&head, elf.Prog64{Type: uint32(elf.PT_NOTE), Off: uint64(notesAt), Filesz: uint64(notesSize)})
	image := data.Bytes()
	copy(image, head.Bytes())
	return image
}

func (k traits) btfSection() []byte {
	if k.btf == nil {
		return nil
	}
	var names bytes.Buffer
	names.WriteByte(0)
	for _, s := range k.btf {
		names.WriteString(s + "\x00")
	}
	header := []byte{0x9f, 0xeb, 1, 0, 24, 0, 0, 0}
	for _, field := range []uint32{0, 0, 0, uint32(names.Len())} {
		header = binary.LittleEndian.AppendUint32(header, field)
	}
	return append(header, names.Bytes()...)
}

func (k traits) notes() []byte {
	note := func(name string, kind uint32, content []byte) []byte {
		var b []byte
		for _, field := range []uint32{uint32(len(name) + 1), uint32(len(content)), kind} {
			b = binary.LittleEndian.AppendUint32(b, field)
		}
		b = append(b, name...)
		b = append(b, make([]byte, 4-len(name)%4)...)
		return append(b, content...)
	}
	notes := note("Linux", 0x101, make([]byte, 4))
	if k.pvh {
		notes = append(notes, note("Xen", 18, make([]byte, 8))...)
	}
	return notes
}

// bzImage makes a boot image with the payload, which ends in its uncompressed
// size.
func (k traits) bzImage(payload []byte) []byte {
	const sectors = 3
	setup := make([]byte, (sectors+1)*512)
	setup[0x1f1] = sectors
	binary.LittleEndian.PutUint16(setup[0x1fe:], 0xaa55)
	copy(setup[0x202:], "HdrS")
	binary.LittleEndian.PutUint16(setup[0x206:], 0x20f)
	binary.LittleEndian.PutUint16(setup[0x20e:], 0x300)
	copy(setup[0x500:], k.release+" (builder@host) #1 SMP\x00")
	setup[0x211] = 1
	binary.LittleEndian.PutUint16(setup[0x236:], 1)

	const before = 0x100
	code := append(make([]byte, before), payload...)
	for len(code)%16 != 0 {
		code = append(code, 0)
	}
	binary.LittleEndian.PutUint32(setup[0x1f4:], uint32(len(code)/16))
	binary.LittleEndian.PutUint32(setup[0x248:], before)
	binary.LittleEndian.PutUint32(setup[0x24c:], uint32(len(payload)))
	return append(setup, code...)
}

func zstdPayload(t testing.TB, content []byte) []byte {
	t.Helper()
	enc, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	return binary.LittleEndian.AppendUint32(enc.EncodeAll(content, nil), uint32(len(content)))
}

func gzipPayload(t testing.TB, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(content)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

// write puts content into a file of its own.
func write(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, content, 0o644))
	return path
}
