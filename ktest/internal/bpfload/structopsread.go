package bpfload

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/ktgen/ktgen/object"
)

// This file makes the maps of struct_ops sections, of which cilium/ebpf takes
// .struct_ops.link only: it does not see them (see readable), and package object says
// what is in them. Maps of .struct_ops are attached without a link; those of sections
// with a ? are there for programs that ask for them.

const structOpsSection = ".struct_ops"

// isStructOps tells whether a section has struct_ops maps.
func isStructOps(section string) bool {
	section = strings.TrimPrefix(section, "?")
	return section == structOpsSection || section == structOpsSection+".link"
}

// addStructOps makes the object's struct_ops maps, and tells their programs what they
// implement. Programs that only maps with a ? refer to are left out, with these
// (bpf_object_adjust_struct_ops_autoload in tools/lib/bpf/libbpf.c).
func (s *Spec) addStructOps(obj *object.Object, a *adapted) error {
	wanted := make(map[string]bool)
	for i := range obj.Maps {
		m := &obj.Maps[i]
		if ebpf.MapType(m.Type) != ebpf.StructOpsMap {
			continue
		}
		load := !strings.HasPrefix(m.Section, "?")
		for member, f := range m.Programs {
			wanted[f.Name] = wanted[f.Name] || load
			if err := s.implement(f.Name, m, member, load); err != nil {
				return fmt.Errorf("struct_ops map %s: %w", m.Name, err)
			}
		}
		if !load {
			continue
		}
		spec, err := s.structOpsMap(m, a)
		if err != nil {
			return fmt.Errorf("struct_ops map %s: %w", m.Name, err)
		}
		s.Maps[m.Name] = spec
	}
	for name, load := range wanted {
		if !load {
			delete(s.Programs, name)
		}
	}
	return nil
}

// implement notes which operation a program is. It can be the same one of several maps.
func (s *Spec) implement(program string, m *object.Map, member string, load bool) error {
	p := s.Programs[program]
	if p == nil || p.Type != ebpf.StructOps {
		return fmt.Errorf("its member %s is %s, which is no program in a section struct_ops", member, program)
	}
	target := essentialName(m.Value.TypeName()) + ":" + member
	if load && p.AttachTo != "" && p.AttachTo != target {
		return fmt.Errorf("program %s is %s, and cannot be %s as well: have a program for each", program, p.AttachTo, target)
	}
	if load {
		p.AttachTo = target
	}
	return nil
}

func (s *Spec) structOpsMap(m *object.Map, a *adapted) (*ebpf.MapSpec, error) {
	var defs *btf.Datasec
	if err := s.Types.TypeByName(readable(m.Section), &defs); err != nil {
		return nil, err
	}
	section := a.file.Section(readable(m.Section))
	data, err := section.Data()
	if err != nil {
		return nil, err
	}
	end := uint64(m.Offset) + uint64(m.ValueSize)
	if end > uint64(len(data)) {
		return nil, fmt.Errorf("it ends at byte %d of the %d of section %s", end, len(data), m.Section)
	}
	spec := &ebpf.MapSpec{
		Name: m.Name, Type: ebpf.StructOpsMap, KeySize: 4, Key: &btf.Int{Size: 4}, ValueSize: m.ValueSize, MaxEntries: 1,
		Contents: []ebpf.MapKV{{Key: uint32(0), Value: bytes.Clone(data[m.Offset:end])}},
	}
	if strings.HasSuffix(m.Section, ".link") {
		spec.Flags = unix.BPF_F_LINK
	}
	for _, v := range defs.Vars {
		if v.Type.TypeName() == m.Name {
			spec.Value, _ = btf.As[*btf.Struct](v.Type.(*btf.Var).Type)
		}
	}
	if spec.Value == nil {
		return nil, fmt.Errorf("section %s does not say its type", m.Section)
	}
	return spec, nil
}
