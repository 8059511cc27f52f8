package bpfload

import (
	"debug/elf"
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/object"
)

// This file makes maps of the sections of variables that each CPU has (SEC_PERCPU in
// tools/lib/bpf/libbpf.c, from v1.7 on).

const perCPUSection = ".percpu"

func isPerCPU(section string) bool {
	return section == perCPUSection || strings.HasPrefix(section, perCPUSection+".")
}

func (s *Spec) addPerCPU(_ *object.Object, a *adapted) error {
	for _, section := range a.file.Sections {
		name := perCPUSection + strings.TrimPrefix(section.Name, readable(perCPUSection))
		if readable(name) != section.Name || section.Type != elf.SHT_PROGBITS || section.Size == 0 {
			continue
		}
		data, err := section.Data()
		if err != nil {
			return fmt.Errorf("section %s: %w", name, err)
		}
		m := &ebpf.MapSpec{
			Name: name, Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: uint32(len(data)), MaxEntries: 1,
			Contents: []ebpf.MapKV{{Key: uint32(0), Value: data}},
		}
		var t *btf.Datasec
		if s.Types.TypeByName(section.Name, &t) == nil {
			m.Key, m.Value = &btf.Void{}, sectionType(t, name)
		}
		delete(s.Maps, section.Name)
		s.Maps[name], s.sections[section.Name] = m, name
	}
	return nil
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
