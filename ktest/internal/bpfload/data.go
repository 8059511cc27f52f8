package bpfload

import (
	"cmp"
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

const (
	perCPUSection  = ".percpu"
	kconfigSection = ".kconfig"
)

func isPerCPU(section string) bool {
	return section == perCPUSection || strings.HasPrefix(section, perCPUSection+".")
}

// addSections makes the maps of an object's data sections, in the order of the file, and
// last that of .kconfig, whose values the kernel has.
func (s *Spec) addSections(obj *object.Object) error {
	sections := slices.Concat(obj.Sections, obj.PerCPU)
	slices.SortStableFunc(sections, func(a, b object.Section) int { return cmp.Compare(a.Index, b.Index) })
	for i := range sections {
		section := &sections[i]
		if section.Size == 0 || section.Kind == object.Kconfig || section.Kind == object.Arena && section.Name != arenaSection {
			continue
		}
		m, err := s.sectionMap(section)
		if err != nil {
			return fmt.Errorf("section %s: %w", section.Name, err)
		}
		s.add(m)
	}
	s.order[kconfigSection] = len(s.order)
	return nil
}

// maxData bounds a section in bytes: an array map has no larger value.
const maxData = 1<<31 - 1

func (s *Spec) sectionMap(section *object.Section) (*ebpf.MapSpec, error) {
	if section.Size > maxData {
		return nil, fmt.Errorf("it has %d bytes, and a map can have %d: make its arrays smaller", section.Size, maxData)
	}
	data := section.Data
	if data == nil {
		data = make([]byte, section.Size)
	}
	m := &ebpf.MapSpec{
		Name: section.Name, Type: ebpf.Array, KeySize: 4, ValueSize: uint32(section.Size), MaxEntries: 1,
		Contents: []ebpf.MapKV{{Key: uint32(0), Value: data}},
	}
	switch {
	case section.Kind == object.PerCPU:
		m.Type = ebpf.PerCPUArray
	case section.Kind == object.ReadOnly:
		m.Flags |= unix.BPF_F_RDONLY_PROG
	}
	if section.Kind != object.PerCPU && slices.ContainsFunc(section.Vars, func(v object.Var) bool { return !v.Static && !v.Hidden }) {
		m.Flags |= unix.BPF_F_MMAPABLE
	}
	if section.Type != nil {
		m.Key, m.Value = &btf.Void{}, section.Type
	}
	return m, nil
}

// forEachCPU returns the initial contents of a map as it takes them: those of a section
// that each CPU has as often as there can be CPUs.
func forEachCPU(spec *ebpf.MapSpec, value any) (any, error) {
	data, ok := value.([]byte)
	if !ok || !isPerCPU(spec.Name) {
		return value, nil
	}
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return nil, fmt.Errorf("count possible CPUs: %w", err)
	}
	return slices.Repeat([][]byte{data}, cpus), nil
}

// sectionType returns a section's type with variables that the kernel takes: it knows
// no externs. The types of the variables are the same, so that each is in the object's
// BTF once.
func sectionType(section *btf.Datasec) *btf.Datasec {
	global := *section
	global.Vars = slices.Clone(section.Vars)
	for i := range global.Vars {
		if v, ok := global.Vars[i].Type.(*btf.Var); ok && v.Linkage == btf.ExternVar {
			own := *v
			own.Linkage = btf.GlobalVar
			global.Vars[i].Type = &own
		}
	}
	return &global
}
