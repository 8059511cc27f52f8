package bpfload

import (
	"cmp"
	"debug/elf"
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/ktgen/ktgen/object"
)

// This file makes maps of data sections as libbpf does (bpf_object__init_internal_map
// in tools/lib/bpf/libbpf.c): of each that has bytes, also of those that no
// program refers to, and mappable where user space has a variable to find there.

// readable returns what a data section is called while cilium/ebpf reads the object, as
// long as its name. It takes .bss, and what begins with .data or .rodata, for data.
func readable(section string) string {
	switch rest, isBSS := strings.CutPrefix(section, ".bss."); {
	case section == arenaSection:
		return arenaAsData
	case isBSS:
		return ".data" + rest
	case isPerCPU(section):
		return ".data__" + strings.TrimPrefix(section, perCPUSection)
	case isStructOps(section):
		return strings.Replace(section, ".", "_", 1) // and not read
	}
	return section
}

// addSections makes the maps of an object's data sections.
func (s *Spec) addSections(obj *object.Object, a *adapted) error {
	s.sections = make(map[string]string)
	for i := range obj.Sections {
		section := &obj.Sections[i]
		if section.Kind == object.Kconfig || section.Kind == object.Arena && section.Name != arenaSection {
			continue
		}
		name := section.Name
		if name == arenaSection {
			name = arenaAsData
		}
		delete(s.Maps, readable(section.Name))
		if section.Size == 0 {
			continue
		}
		contents, err := initial(a, section)
		if err != nil {
			return fmt.Errorf("section %s: %w", section.Name, err)
		}
		s.sections[readable(section.Name)] = name
		s.Maps[name] = s.sectionMap(name, section, contents, a)
	}
	return nil
}

func (s *Spec) sectionMap(name string, section *object.Section, contents []byte, a *adapted) *ebpf.MapSpec {
	m := &ebpf.MapSpec{
		Name: name, Type: ebpf.Array, KeySize: 4, ValueSize: uint32(section.Size), MaxEntries: 1,
		Contents: []ebpf.MapKV{{Key: uint32(0), Value: contents}},
	}
	if section.Kind == object.ReadOnly {
		m.Flags |= unix.BPF_F_RDONLY_PROG
	}
	if slices.ContainsFunc(section.Vars, func(v object.Var) bool { return !v.Static && !v.Hidden }) {
		m.Flags |= unix.BPF_F_MMAPABLE
	}
	var t *btf.Datasec
	if s.Types.TypeByName(readable(section.Name), &t) == nil {
		layOut(t, section)
		m.Key, m.Value = &btf.Void{}, sectionType(t, section.Name)
	}
	return m
}

// layOut gives the variables of a section the offsets that package object has found:
// those in BTF can be of a variable that another unit has overridden.
func layOut(t *btf.Datasec, section *object.Section) {
	offsets := make(map[string][]uint32)
	for _, v := range section.Vars {
		offsets[v.Name] = append(offsets[v.Name], v.Offset)
	}
	for i := range t.Vars {
		if own := offsets[t.Vars[i].Type.TypeName()]; len(own) == 1 {
			t.Vars[i].Offset = own[0]
		}
	}
	slices.SortStableFunc(t.Vars, func(a, b btf.VarSecinfo) int { return cmp.Compare(a.Offset, b.Offset) })
}

// maxData bounds a section in bytes: an array map has no larger value.
const maxData = 1<<31 - 1

// initial returns what a section has in the file.
func initial(a *adapted, section *object.Section) ([]byte, error) {
	if section.Size > maxData {
		return nil, fmt.Errorf("it has %d bytes, and a map can have %d: make its arrays smaller", section.Size, maxData)
	}
	s := a.file.Section(readable(section.Name))
	if s == nil || s.Type == elf.SHT_NOBITS {
		return make([]byte, section.Size), nil
	}
	data, err := s.Data()
	if err == nil && uint64(len(data)) != section.Size {
		err = fmt.Errorf("%d of its %d bytes are in the file", len(data), section.Size)
	}
	return data, err
}
