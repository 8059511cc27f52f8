package object

// This file reads the ELF side of an object: header, sections, symbols.

import (
	"bytes"
	"cmp"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// file is an open BPF ELF object. Sections that later steps need are read into
// memory on first use; r is not used after Read returns.
type file struct {
	name    string
	size    int64
	elf     *elf.File
	symbols []elf.Symbol // without the null symbol; symbol i of a relocation is symbols[i-1]
	rawBTF  []byte
	ext     *extInfo

	bySection map[elf.SectionIndex]map[string][]*elf.Symbol
	units     map[*elf.Symbol]string // of local symbols: the C file
	relocates map[int][]*elf.Section // the sections of relocations, by the one that they are for
	placed    placed                 // once maps and sections are read
}

func (f *file) fail(err error, advice string) error {
	return &Error{File: f.name, Offset: -1, Err: err, Advice: advice}
}

func (f *file) failAt(sec *elf.Section, offset int64, format string, args ...any) error {
	return &Error{File: f.name, Section: sec.Name, Offset: offset, Err: fmt.Errorf(format, args...)}
}

func openELF(r io.ReaderAt, size int64, name string) (*file, error) {
	f := &file{name: name, size: size}
	var ident [4]byte
	if _, err := r.ReadAt(ident[:], 0); err != nil && err != io.EOF {
		return nil, f.fail(err, "")
	}
	if string(ident[:]) != elf.ELFMAG {
		return nil, f.fail(ErrNotELF, "give the object that clang -target bpf -c writes")
	}
	var err error
	f.elf, err = elf.NewFile(io.NewSectionReader(r, 0, size))
	if err != nil {
		return nil, f.fail(elfError(err), "")
	}
	if err := f.checkHeader(); err != nil {
		return nil, err
	}
	f.symbols, err = f.elf.Symbols()
	if errors.Is(err, elf.ErrNoSymbols) {
		return nil, f.fail(ErrStripped, "strip it with llvm-strip -g, which removes debug sections only")
	}
	if err != nil {
		return nil, f.fail(elfError(err), "")
	}
	return f, f.index()
}

// elfError tells a short file from one that is wrong.
func elfError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: %w", ErrTruncated, err)
	}
	return fmt.Errorf("malformed ELF: %w", err)
}

func (f *file) checkHeader() error {
	h := f.elf.FileHeader
	if h.Machine != elf.EM_BPF {
		return f.fail(fmt.Errorf("%w: it is for %v", ErrNotBPF, h.Machine), "compile it with clang -target bpf")
	}
	if h.Class != elf.ELFCLASS64 || h.Type != elf.ET_REL {
		return f.fail(fmt.Errorf("malformed ELF: %v %v, want a 64-bit relocatable object", h.Class, h.Type), "")
	}
	return f.checkSections()
}

// checkSections checks that sections lie in the file, and apart.
func (f *file) checkSections() error {
	var inFile []*elf.Section
	for _, sec := range f.elf.Sections {
		end := sec.Offset + sec.FileSize
		if sec.Type == elf.SHT_NOBITS || sec.Type == elf.SHT_NULL {
			continue
		}
		if end < sec.Offset || end > uint64(f.size) {
			return &Error{File: f.name, Section: sec.Name, Offset: -1,
				Err: fmt.Errorf("%w: it ends at byte %#x of %#x", ErrTruncated, end, f.size)}
		}
		if sec.FileSize > 0 {
			inFile = append(inFile, sec)
		}
	}
	slices.SortStableFunc(inFile, func(a, b *elf.Section) int { return cmp.Compare(a.Offset, b.Offset) })
	for i := 1; i < len(inFile); i++ {
		sec, before := inFile[i], inFile[i-1]
		if end := before.Offset + before.FileSize; end > sec.Offset {
			return f.failAt(sec, 0, "malformed ELF: it begins at byte %#x of the file, inside section %s, which ends at %#x", sec.Offset, before.Name, end)
		}
	}
	return nil
}

func (f *file) index() error {
	f.relocates = make(map[int][]*elf.Section)
	for _, sec := range f.elf.Sections {
		if sec.Type == elf.SHT_REL {
			f.relocates[int(sec.Info)] = append(f.relocates[int(sec.Info)], sec)
		}
	}
	f.bySection = make(map[elf.SectionIndex]map[string][]*elf.Symbol)
	f.units = make(map[*elf.Symbol]string)
	unit := "" // whose local symbols follow (System V ABI, symbol table, STT_FILE)
	for i := range f.symbols {
		sym := &f.symbols[i]
		if elf.ST_TYPE(sym.Info) == elf.STT_FILE {
			unit = path.Base(sym.Name)
		} else if elf.ST_BIND(sym.Info) == elf.STB_LOCAL && unit != "" {
			f.units[sym] = unit
		}
		if sym.Section == elf.SHN_UNDEF || sym.Section >= elf.SHN_LORESERVE {
			continue
		}
		if int(sym.Section) >= len(f.elf.Sections) {
			return f.fail(fmt.Errorf("malformed ELF: symbol %s is in section %d of %d", sym.Name, sym.Section, len(f.elf.Sections)), "")
		}
		names := f.bySection[sym.Section]
		if names == nil {
			names = make(map[string][]*elf.Symbol)
			f.bySection[sym.Section] = names
		}
		names[sym.Name] = append(names[sym.Name], sym)
	}
	return nil
}

// section returns the first section called name, or nil.
func (f *file) section(name string) *elf.Section { return f.elf.Section(name) }

// contents reads a section of at most limit bytes.
func (f *file) contents(sec *elf.Section, limit uint64) ([]byte, error) {
	switch {
	case sec.Type == elf.SHT_NOBITS:
		return nil, f.failAt(sec, -1, "it has no contents")
	case sec.Flags&elf.SHF_COMPRESSED != 0:
		return nil, f.failAt(sec, -1, "it is compressed, which BPF loaders do not support")
	case sec.Size > limit:
		return nil, f.failAt(sec, -1, "its size of %d bytes is more than %d", sec.Size, limit)
	}
	// What is there bounds the allocation, not what the header claims.
	var b bytes.Buffer
	if end := sec.Offset + sec.Size; end >= sec.Offset && end <= uint64(f.size) {
		b.Grow(int(sec.Size) + bytes.MinRead) // without the need to grow again at the end
	}
	if _, err := b.ReadFrom(sec.Open()); err != nil {
		return nil, f.failAt(sec, -1, "%w", err)
	}
	if uint64(b.Len()) != sec.Size {
		return nil, f.failAt(sec, int64(b.Len()), "%w: %d of %d bytes", ErrTruncated, b.Len(), sec.Size)
	}
	return b.Bytes(), nil
}

// initial returns the contents of a section, nil if the file has none.
func (f *file) initial(sec *elf.Section) ([]byte, error) {
	if sec.Type != elf.SHT_PROGBITS {
		return nil, nil
	}
	return f.contents(sec, sec.Size)
}

// source returns the name of the C file that the symbol table gives.
func (f *file) source() string {
	for _, sym := range f.symbols {
		if elf.ST_TYPE(sym.Info) == elf.STT_FILE {
			return path.Base(strings.TrimSpace(sym.Name))
		}
	}
	return ""
}

func isWeak(sym *elf.Symbol) bool { return elf.ST_BIND(sym.Info) == elf.STB_WEAK }

func isHidden(sym *elf.Symbol) bool {
	v := elf.ST_VISIBILITY(sym.Other)
	return v == elf.STV_HIDDEN || v == elf.STV_INTERNAL
}
