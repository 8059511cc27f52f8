package bpfload

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

// This file makes of what package object reads what is loaded.

// arenaSection is what clang calls the section of an arena's variables.
const arenaSection = ".addr_space.1"

// Spec is an object that has been read. Its programs are without instructions, which
// are in code.
type Spec struct {
	*ebpf.CollectionSpec

	code     map[string]*code         // of programs
	programs []string                 // their names, in the order of the file
	local    *btf.Spec                // the object's types again, those of CO-RE relocations
	kconfig  *object.Section          // nil if the object has no such variables
	externs  map[string]object.Extern // what the kernel or the loader has to provide, by name
	referred map[string]bool          // externs that instructions refer to
	order    map[string]int           // of maps, as libbpf makes them
	defs     []*btf.Datasec           // of the definitions of maps
	unsized  []string                 // what clang gives no size in the object's types

	members map[string]map[string]string // programs of struct_ops maps, by map and member
	on      map[string]bool              // optional programs that are loaded
	filled  map[string]uint32            // maps of maps, and how many are made for them
}

// Read reads an object.
func Read(contents []byte) (*Spec, error) {
	obj, err := object.Read(bytes.NewReader(contents), int64(len(contents)), "object")
	if err != nil {
		return nil, err
	}
	if obj.ByteOrder != binary.ByteOrder(binary.LittleEndian) {
		return nil, errors.New("it is for machines of the other byte order: compile it with -target bpfel")
	}
	if err := checkVersion(contents); err != nil {
		return nil, err
	}
	local, infos, err := btf.LoadSpecAndExtInfosFromReader(bytes.NewReader(contents))
	if err != nil {
		return nil, fmt.Errorf("read its .BTF.ext: %w", err)
	}
	s := &Spec{
		CollectionSpec: &ebpf.CollectionSpec{
			Maps: make(map[string]*ebpf.MapSpec), Programs: make(map[string]*ebpf.ProgramSpec),
			Variables: make(map[string]*ebpf.VariableSpec), Types: obj.Types, ByteOrder: obj.ByteOrder,
		},
		code: make(map[string]*code), local: local, kconfig: obj.Section(kconfigSection),
		externs: make(map[string]object.Extern), referred: make(map[string]bool), order: make(map[string]int),
		unsized: obj.Unsized,
	}
	steps := []func(*object.Object) error{s.addMaps, s.addSections, s.addExterns, s.addStructOps, s.listVariables, s.listMembers}
	if err := s.addPrograms(obj, infos); err != nil {
		return nil, err
	}
	for _, step := range steps {
		if err := step(obj); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// checkVersion says what is wrong with a section version, which is the kernel's in 4 bytes.
// Kernels before 5.0 compared it with theirs.
func checkVersion(contents []byte) error {
	f, err := elf.NewFile(bytes.NewReader(contents))
	if err != nil {
		return fmt.Errorf("read its sections: %w", err)
	}
	if version := f.Section("version"); version != nil && version.Size != 4 {
		return fmt.Errorf("section version: it has %d bytes, and a kernel's version has 4: leave it out, as no kernel since 5.0 reads it", version.Size)
	}
	return nil
}

// addPrograms makes the object's programs: the functions that are in sections of their
// own. Hidden functions become static ones, which the verifier follows into from their
// callers (bpf_object__init_btf in tools/lib/bpf/libbpf.c).
func (s *Spec) addPrograms(obj *object.Object, infos *btf.ExtInfos) error {
	l := newLinker(obj, infos)
	for i := range obj.Functions {
		if fn := &obj.Functions[i]; fn.Hidden && fn.Type != nil {
			fn.Type.Linkage = btf.StaticFunc
		}
	}
	for _, section := range obj.Code {
		for i := range obj.Functions {
			fn := &obj.Functions[i]
			if fn.Section != section.Section || fn.Section == textSection {
				continue
			}
			if err := s.addProgram(l, fn); err != nil {
				return fmt.Errorf("program %s: %w", fn.Name, err)
			}
		}
	}
	return nil
}

func (s *Spec) addProgram(l *linker, fn *object.Function) error {
	switch {
	case fn.Static:
		return fmt.Errorf("it is static, in section %s: programs are global", fn.Section)
	case s.Programs[fn.Name] != nil:
		return fmt.Errorf("the object has two of that name, in sections %s and %s", s.Programs[fn.Name].SectionName, fn.Section)
	}
	callback, err := exceptionCallback(l.obj, fn)
	if err != nil {
		return err
	}
	c, err := l.link(fn, callback)
	if err != nil {
		return err
	}
	kind, to := kindOf(fn.Section)
	s.code[fn.Name] = c
	s.programs = append(s.programs, fn.Name)
	s.Programs[fn.Name] = &ebpf.ProgramSpec{
		Name: fn.Name, SectionName: fn.Section, License: l.obj.License, ByteOrder: l.obj.ByteOrder,
		Type: kind.program, AttachType: kind.attach, Flags: kind.flags, AttachTo: to,
	}
	return nil
}

// addExterns notes what the object declares and who refers to it.
func (s *Spec) addExterns(obj *object.Object) error {
	if len(obj.Unresolved) > 0 {
		return fmt.Errorf("it declares %s, which another unit defines: link the two with bpftool gen object, or declare what the kernel has with __ksym or __kconfig", strings.Join(obj.Unresolved, ", "))
	}
	for _, e := range obj.Externs {
		s.externs[e.Name] = e
	}
	for _, c := range obj.Code {
		for _, ref := range c.Refs {
			if ref.Kind == object.RefExtern {
				s.referred[ref.Symbol] = true
			}
		}
	}
	return nil
}

// listVariables makes the variables of data sections known, except those that
// only one unit of a linked object can name.
func (s *Spec) listVariables(obj *object.Object) error {
	for _, section := range obj.Sections {
		data, ok := s.contents(section.Name)
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
			s.Variables[v.Name] = &ebpf.VariableSpec{SectionName: section.Name, Name: v.Name, Offset: v.Offset, Value: bytes.Clone(data[v.Offset:end])}
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
