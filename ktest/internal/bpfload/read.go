package bpfload

// This file reads objects as libbpf does where cilium/ebpf differs. In the copy
// that it takes weak maps are global ones, since weak only matters to who links
// objects, and the variables of an arena are in a section that is read as data.
// Hidden functions become static ones, which the verifier follows into from
// their callers (bpf_object__init_btf in tools/lib/bpf/libbpf.c).

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// arenaSection is what clang calls the section of an arena's variables, and
// arenaAsData what it is called while it is read: as long, and a data section's
// name.
const (
	arenaSection = ".addr_space.1"
	arenaAsData  = ".data.arena_1"
)

// Read reads an object.
func Read(object []byte) (*ebpf.CollectionSpec, error) {
	f, err := elf.NewFile(bytes.NewReader(object))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	object = bytes.Clone(object)
	hidden := make(map[string]bool)
	for _, s := range f.Sections {
		if s.Type == elf.SHT_NOBITS || s.Offset > uint64(len(object)) || s.FileSize > uint64(len(object))-s.Offset {
			continue
		}
		contents := object[s.Offset:][:s.FileSize]
		switch {
		case s.Type == elf.SHT_SYMTAB:
			if err := strengthen(f, contents, hidden); err != nil {
				return nil, err
			}
		case s.Type == elf.SHT_STRTAB || s.Name == ".BTF":
			copy(contents, bytes.ReplaceAll(contents, []byte("\x00"+arenaSection+"\x00"), []byte("\x00"+arenaAsData+"\x00")))
		}
	}
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(object))
	if err != nil {
		return nil, err
	}
	for _, p := range spec.Programs {
		for i := range p.Instructions {
			if fn := btf.FuncMetadata(&p.Instructions[i]); fn != nil && hidden[fn.Name] {
				fn.Linkage = btf.StaticFunc
			}
		}
	}
	return spec, nil
}

// strengthen makes global ones of the weak symbols of maps in a symbol table.
// It notes the names of hidden functions.
func strengthen(f *elf.File, table []byte, hidden map[string]bool) error {
	symbols, err := f.Symbols()
	if err != nil {
		return fmt.Errorf("read its symbols: %w", err)
	}
	for _, s := range symbols {
		if visibility := elf.ST_VISIBILITY(s.Other); elf.ST_TYPE(s.Info) == elf.STT_FUNC && (visibility == elf.STV_HIDDEN || visibility == elf.STV_INTERNAL) {
			hidden[s.Name] = true
		}
	}
	if f.Class != elf.ELFCLASS64 {
		return errors.New("it is no 64-bit ELF file")
	}
	for at := 0; at+elf.Sym64Size <= len(table); at += elf.Sym64Size {
		var sym elf.Sym64
		if _, err := binary.Decode(table[at:], f.ByteOrder, &sym); err != nil {
			return fmt.Errorf("read its symbols: %w", err)
		}
		if int(sym.Shndx) < len(f.Sections) && f.Sections[sym.Shndx].Name == ".maps" && elf.ST_BIND(sym.Info) == elf.STB_WEAK {
			sym.Info = elf.ST_INFO(elf.STB_GLOBAL, elf.ST_TYPE(sym.Info))
			if _, err := binary.Encode(table[at:], f.ByteOrder, &sym); err != nil {
				return fmt.Errorf("write its symbols: %w", err)
			}
		}
	}
	return nil
}
