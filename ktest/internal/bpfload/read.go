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
	for name, p := range spec.Programs {
		if strings.HasPrefix(name, deadCode) {
			delete(spec.Programs, name)
			continue
		}
		setKind(p)
		p.Instructions = inOrder(p.Instructions, a.sizes)
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
	file      *elf.File         // of contents
	hidden    map[string]bool   // functions
	sizes     map[string]uint64 // of functions, in bytes
	undefined map[string]bool   // symbols that are referred to and not in the object
}

func adapt(contents []byte) (*adapted, error) {
	f, err := elf.NewFile(bytes.NewReader(contents))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if f.Class != elf.ELFCLASS64 || len(contents) < elfHeaderSize {
		return nil, errors.New("it is no 64-bit ELF file")
	}
	a := &adapted{hidden: make(map[string]bool), sizes: make(map[string]uint64), undefined: make(map[string]bool)}
	r := &renamer{file: f, contents: bytes.Clone(contents), tables: make(map[int][]byte)}
	for i, s := range f.Sections {
		if s.Type == elf.SHT_NOBITS || s.Offset > uint64(len(contents)) || s.FileSize > uint64(len(contents))-s.Offset {
			continue
		}
		part := r.contents[s.Offset:][:s.FileSize]
		if s.Type == elf.SHT_SYMTAB {
			err = errors.Join(err, a.rebind(r, part, int(s.Link)), a.nameDeadCode(r, i, part))
		}
		if s.Name == ".BTF" {
			renameInBTF(part, f.Sections)
			err = errors.Join(err, adaptBTF(part, f.ByteOrder))
		}
	}
	if err := errors.Join(err, r.sections()); err != nil {
		return nil, err
	}
	a.contents = r.finish()
	a.file, err = elf.NewFile(bytes.NewReader(a.contents))
	return a, err
}

// rebind changes a symbol table: weak maps and all functions become global, variables
// local, and functions of one name, as several units have them, get names of their own. It
// notes what the symbols tell.
func (a *adapted) rebind(r *renamer, table []byte, names int) error {
	symbols, err := r.file.Symbols()
	if err != nil {
		return fmt.Errorf("read its symbols: %w", err)
	}
	for i, s := range symbols {
		a.note(s)
		at := (i + 1) * elf.Sym64Size // the first is unused
		var sym elf.Sym64
		if _, err := binary.Decode(table[min(at, len(table)):], r.file.ByteOrder, &sym); err != nil {
			return fmt.Errorf("read its symbols: %w", err)
		}
		if bind, changed := binding(r.file, sym); changed {
			sym.Info = elf.ST_INFO(bind, elf.ST_TYPE(sym.Info))
		}
		if _, taken := a.sizes[s.Name]; isFunction(s) && taken {
			s.Name = fmt.Sprintf("%s.%d", s.Name, i)
			if sym.Name, err = r.add(names, s.Name); err != nil {
				return err
			}
		}
		if isFunction(s) {
			a.sizes[s.Name] = s.Size
		}
		if _, err := binary.Encode(table[at:], r.file.ByteOrder, &sym); err != nil {
			return fmt.Errorf("write its symbols: %w", err)
		}
	}
	return nil
}

// nameDeadCode makes a function of what is in a section in front of its first symbol, in a
// longer symbol table: a linker leaves overridden functions there without one, and
// cilium/ebpf takes the first symbol for the start.
func (a *adapted) nameDeadCode(r *renamer, index int, table []byte) error {
	symbols, err := r.file.Symbols()
	if err != nil {
		return err
	}
	first := make(map[elf.SectionIndex]uint64)
	for _, s := range symbols {
		if at, ok := first[s.Section]; isFunction(s) && (!ok || s.Value < at) {
			first[s.Section] = s.Value
		}
	}
	longer := bytes.Clone(table)
	for section, size := range first {
		if size == 0 {
			continue
		}
		name := fmt.Sprintf("%s.%d", deadCode, section)
		at, err := r.add(int(r.file.Sections[index].Link), name)
		if err != nil {
			return err
		}
		sym := elf.Sym64{Name: at, Info: elf.ST_INFO(elf.STB_GLOBAL, elf.STT_FUNC), Shndx: uint16(section), Size: size}
		if longer, err = binary.Append(longer, r.file.ByteOrder, &sym); err != nil {
			return err
		}
		a.sizes[name] = size
	}
	if len(longer) > len(table) {
		r.tables[index] = longer
	}
	return nil
}

// deadCode begins the names that no function of C has.
const deadCode = "dead.code"

func isFunction(s elf.Symbol) bool {
	return elf.ST_TYPE(s.Info) == elf.STT_FUNC && s.Section != elf.SHN_UNDEF
}

func (a *adapted) note(s elf.Symbol) {
	if visibility := elf.ST_VISIBILITY(s.Other); elf.ST_TYPE(s.Info) == elf.STT_FUNC && (visibility == elf.STV_HIDDEN || visibility == elf.STV_INTERNAL) {
		a.hidden[s.Name] = true
	}
	if s.Section == elf.SHN_UNDEF {
		a.undefined[s.Name] = true
	}
}

// binding returns what a symbol is to be bound as.
func binding(f *elf.File, sym elf.Sym64) (bind elf.SymBind, changed bool) {
	if int(sym.Shndx) >= len(f.Sections) {
		return 0, false
	}
	section, bind := f.Sections[sym.Shndx].Name, elf.ST_BIND(sym.Info)
	switch {
	case elf.ST_TYPE(sym.Info) == elf.STT_FUNC && f.Sections[sym.Shndx].Flags&elf.SHF_EXECINSTR != 0:
		return elf.STB_GLOBAL, bind != elf.STB_GLOBAL
	case section == ".maps":
		return elf.STB_GLOBAL, bind == elf.STB_WEAK
	case section == ".bss" || strings.HasPrefix(readable(section), ".data") || strings.HasPrefix(section, ".rodata"):
		return elf.STB_LOCAL, elf.ST_TYPE(sym.Info) == elf.STT_OBJECT && bind != elf.STB_LOCAL
	}
	return 0, false
}
