package kernel

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// This file looks into a vmlinux, the kernel's ELF file.

// vmlinux is what ktgen wants to know of a kernel's ELF file.
type vmlinux struct {
	Release string   // uname -r
	PVH     bool     // it has an entry point for PVH boot
	BTF     extent   // the .BTF section; of size 0 without one
	Lacks   []string // requirements it does not meet
}

const (
	// xenPhys32Entry is XEN_ELFNOTE_PHYS32_ENTRY, the note with the PVH entry
	// point (include/xen/interface/elfnote.h).
	xenPhys32Entry = 18
	maxSegments    = 64       // kernels have 3 to 6
	maxNotes       = 64 << 10 // bytes; kernels have some 500
	maxBTF         = 64 << 20 // bytes; kernels have some 5 million
)

// banner begins linux_banner (init/version-timestamp.c); the release follows.
const banner = "Linux version "

// Strings that a kernel holds when a driver or feature is built in, and lacks
// when it is a module or missing. Each is a whole C string.
const (
	virtioPCIDriver     = "\x00virtio-pci\x00"     // drivers/virtio/virtio_pci_common.c
	virtioConsoleDriver = "\x00virtio_console\x00" // drivers/char/virtio_console.c
	serialDriver        = "\x00serial8250\x00"     // drivers/tty/serial/8250
	// structOpsValue is a type's name in BTF: the value of a struct_ops map that
	// holds a scheduler (kernel/sched/ext.c).
	structOpsValue = "\x00bpf_struct_ops_sched_ext_ops\x00"
)

// requirement is something ktgen's guests need from a kernel.
type requirement struct {
	what   string
	met    func(e *evidence) bool
	driver string // the module that has it where it is not built in; "" if none can
}

// driverOf returns the module that meets a requirement, or "".
func driverOf(what string) string {
	i := slices.IndexFunc(requirements, func(r requirement) bool { return r.what == what })
	if i < 0 {
		return ""
	}
	return requirements[i].driver
}

var requirements = []requirement{
	{"BTF (CONFIG_DEBUG_INFO_BTF=y)", func(e *evidence) bool { return e.btf != nil }, ""},
	{"sched_ext (CONFIG_SCHED_CLASS_EXT=y)", func(e *evidence) bool { return bytes.Contains(e.btf, []byte(structOpsValue)) }, ""},
	{"a built-in virtio PCI driver (CONFIG_VIRTIO_PCI=y)", func(e *evidence) bool { return e.has(virtioPCIDriver) }, "virtio_pci"},
	{"a built-in virtio console driver (CONFIG_VIRTIO_CONSOLE=y)", func(e *evidence) bool { return e.has(virtioConsoleDriver) }, "virtio_console"},
	{"a built-in serial driver (CONFIG_SERIAL_8250=y)", func(e *evidence) bool { return e.has(serialDriver) }, ""},
}

// evidence is what requirements are judged by.
type evidence struct {
	btf     []byte           // .BTF, nil without a usable one
	strings map[string]int64 // offset in the file of the first of each string
}

func (e *evidence) has(s string) bool {
	_, ok := e.strings[s]
	return ok
}

// readVmlinux looks into the ELF file r. The error is a [*FormatError] without
// a path.
func readVmlinux(r io.ReaderAt, size int64) (*vmlinux, error) {
	f, err := elf.NewFile(r)
	if err != nil {
		return nil, &FormatError{Offset: 0, Rule: "it is not a readable ELF file", Err: err}
	}
	if err := checkVmlinux(f, size); err != nil {
		return nil, err
	}
	found := &evidence{}
	if found.strings, err = findStrings(f, banner, virtioPCIDriver, virtioConsoleDriver, serialDriver); err != nil {
		return nil, err
	}
	v := &vmlinux{PVH: hasPVHEntry(f)}
	if v.Release, err = readRelease(r, found); err != nil {
		return nil, err
	}
	if v.BTF, found.btf, err = readBTF(f); err != nil {
		return nil, err
	}
	for _, required := range requirements {
		if !required.met(found) {
			v.Lacks = append(v.Lacks, required.what)
		}
	}
	return v, nil
}

func checkVmlinux(f *elf.File, size int64) error {
	if f.Class != elf.ELFCLASS64 || f.Machine != elf.EM_X86_64 {
		return &FormatError{Offset: 0x12, Rule: fmt.Sprintf("it is a kernel for %v, ktgen boots x86-64", f.Machine)}
	}
	if f.Type != elf.ET_EXEC && f.Type != elf.ET_DYN {
		return &FormatError{Offset: 0x10, Rule: fmt.Sprintf("it is an ELF file of type %v, not an executable", f.Type)}
	}
	if len(f.Progs) > maxSegments {
		return &FormatError{Offset: 0x38, Rule: fmt.Sprintf("it has %d segments, at most %d are allowed", len(f.Progs), maxSegments)}
	}
	for i, p := range f.Progs {
		if p.Off > math.MaxInt64-p.Filesz || int64(p.Off+p.Filesz) > size {
			return &FormatError{Offset: size, Rule: fmt.Sprintf("the file is cut short: segment %d ends at %#x", i, p.Off+p.Filesz)}
		}
	}
	return nil
}

// loaded returns the segments that go into memory.
func loaded(f *elf.File) []*elf.Prog {
	var segments []*elf.Prog
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD {
			segments = append(segments, p)
		}
	}
	return segments
}

// findStrings returns where in the file each of the strings is first, of those
// that are in a loaded segment. Strings of debug information do not count.
func findStrings(f *elf.File, wanted ...string) (map[string]int64, error) {
	found := map[string]int64{}
	for _, segment := range loaded(f) {
		if err := scan(segment, wanted, found); err != nil {
			return nil, &FormatError{Offset: int64(segment.Off), Rule: "a segment cannot be read", Err: err}
		}
	}
	return found, nil
}

// scan looks for strings in a segment, piece by piece. Pieces overlap so that a
// string on a border is whole in one of them.
func scan(segment *elf.Prog, wanted []string, found map[string]int64) error {
	const piece, overlap = 1 << 20, 64
	buf := make([]byte, piece+overlap)
	for start := int64(0); start < int64(segment.Filesz); start += piece {
		n, err := segment.ReadAt(buf, start)
		if err != nil && err != io.EOF {
			return err
		}
		for _, s := range wanted {
			if _, known := found[s]; known {
				continue
			}
			if i := bytes.Index(buf[:n], []byte(s)); i >= 0 {
				found[s] = int64(segment.Off) + start + int64(i)
			}
		}
	}
	return nil
}

// maxRelease is the length of utsname.release (__NEW_UTS_LEN).
const maxRelease = 64

func readRelease(r io.ReaderAt, e *evidence) (string, error) {
	at, ok := e.strings[banner]
	if !ok {
		return "", &FormatError{Offset: 0, Rule: fmt.Sprintf("it is not a Linux kernel: there is no %q in it", banner)}
	}
	text := make([]byte, maxRelease+1)
	n, err := r.ReadAt(text, at+int64(len(banner)))
	if err != nil && err != io.EOF {
		return "", &FormatError{Offset: at, Rule: "the kernel's banner cannot be read", Err: err}
	}
	release, err := firstWord(string(text[:n]))
	if err != nil {
		return "", &FormatError{Offset: at, Rule: "the kernel's banner has no release", Err: err}
	}
	return release, nil
}

// firstWord returns the release that begins a banner or version string. It is
// used as a file name, too, so what cannot be one is refused.
func firstWord(version string) (string, error) {
	release, _, _ := strings.Cut(version, " ")
	invalid := func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '/' }
	if release == "" || len(release) > maxRelease || release[0] == '.' || strings.ContainsFunc(release, invalid) {
		return "", fmt.Errorf("%q is not a kernel release", release)
	}
	return release, nil
}

// hasPVHEntry says whether a note names the entry point that QEMU's -kernel
// enters an ELF file at (Documentation/virt/kvm/x86 calls it the PVH boot ABI).
func hasPVHEntry(f *elf.File) bool {
	for _, p := range f.Progs {
		if p.Type != elf.PT_NOTE {
			continue
		}
		notes, err := io.ReadAll(io.LimitReader(p.Open(), maxNotes))
		if err == nil && hasNote(notes, "Xen", xenPhys32Entry) {
			return true
		}
	}
	return false
}

// hasNote looks for a note in a list of ELF notes: three u32 (length of name,
// length of content, type), name, content, both padded to 4 bytes.
func hasNote(notes []byte, name string, kind uint32) bool {
	padded := func(length uint32) uint64 { return (uint64(length) + 3) &^ 3 }
	for len(notes) >= 12 {
		nameLength := binary.LittleEndian.Uint32(notes)
		nameEnd := 12 + padded(nameLength)
		end := nameEnd + padded(binary.LittleEndian.Uint32(notes[4:]))
		if end > uint64(len(notes)) {
			return false
		}
		if binary.LittleEndian.Uint32(notes[8:]) == kind && string(notes[12:12+uint64(nameLength)]) == name+"\x00" {
			return true
		}
		notes = notes[end:]
	}
	return false
}

// readBTF returns the .BTF section and where it is. A kernel without one is
// fine here: both are zero.
func readBTF(f *elf.File) (extent, []byte, error) {
	section := f.Section(".BTF")
	if section == nil || section.Type == elf.SHT_NOBITS {
		return extent{}, nil, nil
	}
	if section.Size > maxBTF {
		return extent{}, nil, &FormatError{Offset: int64(section.Offset), Rule: fmt.Sprintf("section .BTF has %d bytes, at most %d are allowed", section.Size, maxBTF)}
	}
	if section.Flags&elf.SHF_COMPRESSED != 0 {
		return extent{}, nil, &FormatError{Offset: int64(section.Offset), Rule: "section .BTF is compressed, which no kernel can use"}
	}
	data, err := section.Data()
	if err != nil {
		return extent{}, nil, &FormatError{Offset: int64(section.Offset), Rule: "section .BTF cannot be read", Err: err}
	}
	if err := checkBTF(data); err != nil {
		return extent{}, nil, &FormatError{Offset: int64(section.Offset), Rule: "section .BTF", Err: err}
	}
	return extent{int64(section.Offset), int64(section.Size)}, data, nil
}

// checkBTF checks the magic that begins BTF (include/uapi/linux/btf.h).
func checkBTF(data []byte) error {
	const magic = 0xeb9f
	if len(data) < 24 {
		return fmt.Errorf("%d bytes cannot hold a BTF header", len(data))
	}
	if binary.LittleEndian.Uint16(data) != magic {
		return errors.New("there is no little-endian BTF in it")
	}
	return nil
}
