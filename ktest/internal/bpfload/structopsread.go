package bpfload

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/ktgen/ktgen/object"
)

// addStructOps makes the object's struct_ops maps, and tells their programs what they
// implement. Maps of .struct_ops are attached without a link; those of sections with a ?
// are there for programs that ask for them. Programs that only such maps refer to are
// left out, with these (bpf_object_adjust_struct_ops_autoload in
// tools/lib/bpf/libbpf.c).
func (s *Spec) addStructOps(obj *object.Object) error {
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
		if m.Initial == nil {
			return fmt.Errorf("struct_ops map %s: its value is not in the %s of the file", m.Name, m.Section)
		}
		s.add(structOpsMap(m))
	}
	for name, load := range wanted {
		if !load {
			delete(s.Programs, name)
		}
	}
	return nil
}

func structOpsMap(m *object.Map) *ebpf.MapSpec {
	spec := &ebpf.MapSpec{
		Name: m.Name, Type: ebpf.StructOpsMap, KeySize: 4, ValueSize: m.ValueSize, MaxEntries: 1, Value: m.Value,
		Contents: []ebpf.MapKV{{Key: uint32(0), Value: bytes.Clone(m.Initial)}},
	}
	if strings.HasSuffix(m.Section, ".link") {
		spec.Flags = unix.BPF_F_LINK
	}
	return spec
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
