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
	"slices"
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

	kconfig   *object.Section          // nil if the object has no such variables
	externs   map[string]object.Extern // what the kernel or the loader has to provide, by name
	undefined map[string]bool          // symbols that instructions refer to and that are not in the object
	order     map[string]int           // of maps, as libbpf makes them
	sections  map[string]string        // maps of data sections, by what they are called while they are read
	defs      []*btf.Datasec           // of the definitions of maps

	members map[string]map[string]string // programs of struct_ops maps, by map and member
	on      map[string]bool              // optional programs that are loaded
}

// Read reads an object.
func Read(contents []byte) (*Spec, error) {
	obj, err := object.Read(bytes.NewReader(contents), int64(len(contents)), "object")
	if err != nil {
		return nil, err
	}
	a, err := adapt(contents)
	if err != nil {
		return nil, err
	}
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(a.contents))
	if err != nil {
		return nil, err
	}
	for _, p := range spec.Programs {
		setKind(p)
		for i := range p.Instructions {
			if fn := btf.FuncMetadata(&p.Instructions[i]); fn != nil && a.hidden[fn.Name] {
				fn.Linkage = btf.StaticFunc
			}
		}
	}
	s := &Spec{
		CollectionSpec: spec, kconfig: obj.Section(kconfigSection), externs: make(map[string]object.Extern),
		undefined: a.undefined, order: make(map[string]int),
	}
	for _, e := range obj.Externs {
		s.externs[e.Name] = e
	}
	for _, add := range []func(*object.Object, *adapted) error{s.addSections, s.addPerCPU, s.addStructOps} {
		if err := add(obj, a); err != nil {
			return nil, err
		}
	}
	for i, name := range s.mapsInOrder(obj, a) {
		s.order[name] = i
	}
	s.listMembers(obj)
	for _, name := range definingSections {
		var defs *btf.Datasec
		if spec.Types.TypeByName(readable(name), &defs) == nil {
			s.defs = append(s.defs, sectionType(defs, name))
		}
	}
	return s, s.listVariables(obj)
}

// mapsInOrder lists the maps of an object as libbpf makes them
// (bpf_object__init_maps in tools/lib/bpf/libbpf.c).
func (s *Spec) mapsInOrder(obj *object.Object, a *adapted) []string {
	var defined, sections, ops []string
	for _, m := range obj.Maps {
		if ebpf.MapType(m.Type) == ebpf.StructOpsMap {
			ops = append(ops, m.Name)
			continue
		}
		defined = append(defined, m.Name)
	}
	for _, section := range a.file.Sections {
		if name, ok := s.sections[section.Name]; ok {
			sections = append(sections, name)
		}
	}
	return slices.Concat(defined, sections, []string{kconfigSection}, ops)
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

// adapted is a copy of an object as cilium/ebpf takes it, and what that does not tell.
type adapted struct {
	contents  []byte
	file      *elf.File       // of contents
	hidden    map[string]bool // functions
	undefined map[string]bool // symbols that are referred to and not in the object
}

func adapt(contents []byte) (*adapted, error) {
	f, err := elf.NewFile(bytes.NewReader(contents))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	a := &adapted{contents: bytes.Clone(contents), hidden: make(map[string]bool), undefined: make(map[string]bool)}
	for _, s := range f.Sections {
		if s.Type == elf.SHT_NOBITS || s.Offset > uint64(len(contents)) || s.FileSize > uint64(len(contents))-s.Offset {
			continue
		}
		part := a.contents[s.Offset:][:s.FileSize]
		if s.Type == elf.SHT_SYMTAB {
			err = errors.Join(err, a.rebind(f, part))
		}
		if s.Name == ".BTF" {
			renameInBTF(part, f.Sections)
			err = errors.Join(err, adaptBTF(part, f.ByteOrder))
		}
	}
	if err != nil {
		return nil, err
	}
	a.contents = renameSections(a.contents, f)
	a.file, err = elf.NewFile(bytes.NewReader(a.contents))
	return a, err
}

// rebind makes global ones of the weak symbols of maps in a symbol table, and
// local ones of variables. It notes what the symbols tell.
func (a *adapted) rebind(f *elf.File, table []byte) error {
	symbols, err := f.Symbols()
	if err != nil {
		return fmt.Errorf("read its symbols: %w", err)
	}
	for _, s := range symbols {
		if visibility := elf.ST_VISIBILITY(s.Other); elf.ST_TYPE(s.Info) == elf.STT_FUNC && (visibility == elf.STV_HIDDEN || visibility == elf.STV_INTERNAL) {
			a.hidden[s.Name] = true
		}
		if s.Section == elf.SHN_UNDEF {
			a.undefined[s.Name] = true
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
	case section == ".bss" || strings.HasPrefix(readable(section), ".data") || strings.HasPrefix(section, ".rodata"):
		return elf.STB_LOCAL, elf.ST_TYPE(sym.Info) == elf.STT_OBJECT && bind != elf.STB_LOCAL
	}
	return 0, false
}
