package object

// This file finds BPF objects inside other files. Loaders carry them as an array in
// .rodata (bpftool skeletons), in a section of their own (.bpf.objs), or as an embedded
// file (Go, Rust). All of them keep the bytes of the ELF file together. So they are found
// by their header, wherever it is.

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/ktgen/ktgen/runtime/nearest"
)

// Embedded is a BPF object inside another file.
type Embedded struct {
	// Name is that of the C file it was compiled from, without ".bpf.c" or
	// ".c"; else of the symbol it lies at; else its position. Equal names are
	// numbered: "main", "main#2".
	Name   string
	Offset int64 // bytes from the start of the file
	Size   int64 // bytes
}

// maxEmbedded bounds how many objects are listed from one file.
const maxEmbedded = 1024

// Find lists the BPF objects in the first size bytes of r, by position. A file
// that is a BPF object has itself inside.
func Find(r io.ReaderAt, size int64) ([]Embedded, error) {
	var found []Embedded
	next := int64(0)
	err := scan(r, size, func(offset int64) bool {
		if offset < next {
			return true
		}
		length, ok := extent(r, offset, size-offset)
		if !ok {
			return true
		}
		next = offset + length
		found = append(found, Embedded{Offset: offset, Size: length})
		return len(found) < maxEmbedded
	})
	if err != nil {
		return nil, fmt.Errorf("look for BPF objects: %w", err)
	}
	name(r, size, found)
	return found, nil
}

const (
	elfHeaderSize = 64 // Elf64_Ehdr
	chunkSize     = 1 << 20
)

// scan calls visit with the position of everything that looks like the header
// of a 64-bit ELF file, until it returns false.
func scan(r io.ReaderAt, size int64, visit func(offset int64) bool) error {
	magic := []byte(elf.ELFMAG)
	buf := make([]byte, chunkSize+elfHeaderSize)
	for start := int64(0); start < size; start += chunkSize {
		n, err := r.ReadAt(buf[:min(int64(len(buf)), size-start)], start)
		if err != nil && err != io.EOF {
			return err
		}
		window := buf[:n]
		for at := 0; at < min(n, chunkSize); {
			i := bytes.Index(window[at:], magic)
			if i < 0 || at+i >= chunkSize {
				break
			}
			at += i
			if looksLikeBPF(window[at:]) && !visit(start+int64(at)) {
				return nil
			}
			at += len(magic)
		}
	}
	return nil
}

// looksLikeBPF checks an ELF header for a 64-bit relocatable BPF object.
func looksLikeBPF(header []byte) bool {
	if len(header) < elfHeaderSize || elf.Class(header[elf.EI_CLASS]) != elf.ELFCLASS64 {
		return false
	}
	order := byteOrder(header)
	return order != nil &&
		elf.Type(order.Uint16(header[16:])) == elf.ET_REL &&
		elf.Machine(order.Uint16(header[18:])) == elf.EM_BPF
}

func byteOrder(header []byte) binary.ByteOrder {
	switch elf.Data(header[elf.EI_DATA]) {
	case elf.ELFDATA2LSB:
		return binary.LittleEndian
	case elf.ELFDATA2MSB:
		return binary.BigEndian
	}
	return nil
}

// extent returns the length of the ELF file that starts at offset: up to the
// end of its last section or of its section table.
func extent(r io.ReaderAt, offset, available int64) (length int64, ok bool) {
	defer func() {
		if recover() != nil {
			length, ok = 0, false
		}
	}()
	header := make([]byte, elfHeaderSize)
	if _, err := r.ReadAt(header, offset); err != nil {
		return 0, false
	}
	order := byteOrder(header)
	table, entry, count := order.Uint64(header[0x28:]), order.Uint16(header[0x3a:]), order.Uint16(header[0x3c:])
	end := table + uint64(entry)*uint64(count)
	if table > uint64(available) || end > uint64(available) {
		return 0, false
	}
	f, err := elf.NewFile(io.NewSectionReader(r, offset, available))
	if err != nil {
		return 0, false
	}
	for _, sec := range f.Sections {
		if sec.Type == elf.SHT_NOBITS {
			continue
		}
		last := sec.Offset + sec.FileSize
		if last < sec.Offset || last > uint64(available) {
			return 0, false
		}
		end = max(end, last)
	}
	return int64(end), true
}

// name sets the names of what was found.
func name(r io.ReaderAt, size int64, found []Embedded) {
	symbols := symbolsOf(r, size)
	seen := make(map[string]int)
	for i := range found {
		e := &found[i]
		e.Name = sourceName(r, e)
		if e.Name == "" {
			e.Name = symbols[e.Offset]
		}
		if e.Name == "" {
			e.Name = fmt.Sprintf("at_%#x", e.Offset)
		}
		seen[e.Name]++
		if n := seen[e.Name]; n > 1 {
			e.Name = fmt.Sprintf("%s#%d", e.Name, n)
		}
	}
}

// sourceName returns the name of an object's C file without its extensions.
func sourceName(r io.ReaderAt, e *Embedded) string {
	obj, err := Read(io.NewSectionReader(r, e.Offset, e.Size), e.Size, "")
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(strings.TrimSuffix(obj.Source, ".c"), ".bpf")
}

// symbolsOf returns the names of the data symbols of an executable by their
// position in the file.
func symbolsOf(r io.ReaderAt, size int64) (names map[int64]string) {
	defer func() {
		if recover() != nil {
			names = nil
		}
	}()
	f, err := elf.NewFile(io.NewSectionReader(r, 0, size))
	if err != nil {
		return nil
	}
	symbols, err := f.Symbols()
	if err != nil {
		return nil
	}
	names = make(map[int64]string)
	for _, sym := range symbols {
		if elf.ST_TYPE(sym.Info) != elf.STT_OBJECT || int(sym.Section) >= len(f.Sections) {
			continue
		}
		sec := f.Sections[sym.Section]
		offset := sym.Value
		if f.Type != elf.ET_REL {
			offset -= sec.Addr
		}
		if offset < sec.Size {
			names[int64(sec.Offset+offset)] = sym.Name
		}
	}
	return names
}

// readEmbedded reads the object called name inside a file, or the only one if
// name is empty.
func readEmbedded(r io.ReaderAt, size int64, path, name string) (*Object, error) {
	found, err := Find(r, size)
	if err != nil {
		return nil, &Error{File: path, Offset: -1, Err: err}
	}
	names := make([]string, len(found))
	for i, e := range found {
		names[i] = e.Name
		if e.Name == name || name == "" && len(found) == 1 {
			return Read(io.NewSectionReader(r, e.Offset, e.Size), e.Size, e.Name)
		}
	}
	fail := &Error{File: filepath.Base(path), Offset: -1}
	list := strings.Join(names, ", ")
	switch {
	case len(found) == 0:
		fail.Err, fail.Advice = ErrNone, "give the .bpf.o file itself if the executable loads it from elsewhere, or carries it compressed"
	case name == "":
		fail.Err, fail.Advice = fmt.Errorf("%w inside: %s", ErrSeveral, list), "choose one by its name"
	default:
		fail.Err, fail.Advice = fmt.Errorf("%w: %s", ErrNoSuch, name), "it has "+list
		if near := nearest.Name(name, names); near != "" {
			fail.Advice = "did you mean " + near + "? " + fail.Advice
		}
	}
	return nil, fail
}
