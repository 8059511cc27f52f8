package bpfload

// This file reads objects as libbpf does where cilium/ebpf differs. In the copy
// that it takes weak maps are global ones, since weak only matters to who links
// objects, and the variables of an arena are in a section that is read as data.
// Variables are local: it tells them apart by name, which linked objects can
// have several times, and this package lists them itself. Hidden functions become static ones, which the
// verifier follows into from their callers (bpf_object__init_btf in
// tools/lib/bpf/libbpf.c).

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/object"
)

// arenaSection is what clang calls the section of an arena's variables, and
// arenaAsData what it is called while it is read: as long, and a data section's
// name.
const (
	arenaSection = ".addr_space.1"
	arenaAsData  = ".data.arena_1"
)

// Spec is an object that has been read.
type Spec struct {
	*ebpf.CollectionSpec

	kconfig *object.Section          // nil if the object has no such variables
	externs map[string]object.Extern // what the kernel or the loader has to provide, by name
	order   map[string]int           // of maps, as the object defines them
	defs    []*btf.Datasec           // of the definitions of maps
}

// Read reads an object.
func Read(contents []byte) (*Spec, error) {
	obj, err := object.Read(bytes.NewReader(contents), int64(len(contents)), "object")
	if err != nil {
		return nil, err
	}
	adapted, hidden, err := adapt(contents)
	if err != nil {
		return nil, err
	}
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(adapted))
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
	s := &Spec{CollectionSpec: spec, kconfig: obj.Section(kconfigSection), externs: make(map[string]object.Extern), order: make(map[string]int)}
	for _, e := range obj.Externs {
		s.externs[e.Name] = e
	}
	for i, m := range obj.Maps {
		s.order[m.Name] = i
	}
	for _, name := range definingSections {
		var defs *btf.Datasec
		if spec.Types.TypeByName(name, &defs) == nil {
			s.defs = append(s.defs, defs)
		}
	}
	return s, s.listVariables(obj)
}

// definingSections have a variable for each map that the program defines.
var definingSections = []string{".maps", ".struct_ops", ".struct_ops.link", "?.struct_ops", "?.struct_ops.link"}

// listVariables makes the variables of data sections known, except those that
// only one unit of a linked object can name.
func (s *Spec) listVariables(obj *object.Object) error {
	s.Variables = make(map[string]*ebpf.VariableSpec)
	for _, section := range obj.Sections {
		name := section.Name
		if name == arenaSection {
			name = arenaAsData
		}
		data, ok := s.contents(name)
		if !ok {
			continue
		}
		for _, v := range section.Vars {
			if v.Static || s.Variables[v.Name] != nil {
				continue
			}
			end := uint64(v.Offset) + uint64(v.Size)
			if end > uint64(len(data)) {
				return fmt.Errorf("variable %s ends at byte %d of the %d of section %s", v.Name, end, len(data), section.Name)
			}
			s.Variables[v.Name] = &ebpf.VariableSpec{SectionName: name, Name: v.Name, Offset: v.Offset, Value: bytes.Clone(data[v.Offset:end])}
		}
	}
	return nil
}

// contents returns the initial contents of a data section.
func (s *Spec) contents(section string) ([]byte, bool) {
	m := s.Maps[section]
	if m == nil || len(m.Contents) != 1 {
		return nil, false
	}
	data, ok := m.Contents[0].Value.([]byte)
	return data, ok
}

// adapt returns a copy of an object as cilium/ebpf takes it, and the names of
// its hidden functions.
func adapt(contents []byte) (adapted []byte, hidden map[string]bool, err error) {
	f, err := elf.NewFile(bytes.NewReader(contents))
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	adapted, hidden = bytes.Clone(contents), make(map[string]bool)
	for _, s := range f.Sections {
		if s.Type == elf.SHT_NOBITS || s.Offset > uint64(len(adapted)) || s.FileSize > uint64(len(adapted))-s.Offset {
			continue
		}
		part := adapted[s.Offset:][:s.FileSize]
		if s.Type == elf.SHT_SYMTAB {
			err = errors.Join(err, rebind(f, part, hidden))
		}
		if s.Type == elf.SHT_STRTAB || s.Name == ".BTF" {
			copy(part, bytes.ReplaceAll(part, []byte("\x00"+arenaSection+"\x00"), []byte("\x00"+arenaAsData+"\x00")))
		}
		if s.Name == ".BTF" {
			err = errors.Join(err, adaptBTF(part, f.ByteOrder))
		}
	}
	return adapted, hidden, err
}

// rebind makes global ones of the weak symbols of maps in a symbol table, and
// local ones of variables. It notes the names of hidden functions.
func rebind(f *elf.File, table []byte, hidden map[string]bool) error {
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
		bind, changed := binding(f, sym)
		if !changed {
			continue
		}
		sym.Info = elf.ST_INFO(bind, elf.ST_TYPE(sym.Info))
		if _, err := binary.Encode(table[at:], f.ByteOrder, &sym); err != nil {
			return fmt.Errorf("write its symbols: %w", err)
		}
	}
	return nil
}

// binding returns what a symbol is to be bound as.
func binding(f *elf.File, sym elf.Sym64) (bind elf.SymBind, changed bool) {
	if int(sym.Shndx) >= len(f.Sections) {
		return 0, false
	}
	section, bind := f.Sections[sym.Shndx].Name, elf.ST_BIND(sym.Info)
	switch {
	case section == ".maps":
		return elf.STB_GLOBAL, bind == elf.STB_WEAK
	case section == ".bss" || strings.HasPrefix(section, ".data") || strings.HasPrefix(section, ".rodata") || section == arenaSection:
		return elf.STB_LOCAL, elf.ST_TYPE(sym.Info) == elf.STT_OBJECT && bind != elf.STB_LOCAL
	}
	return 0, false
}
