package bpfload

import (
	"fmt"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/object"
)

// This file knows which program each operation of a struct_ops map is.

// listMembers notes the programs that the struct_ops maps which are loaded refer to, by
// map and member.
func (s *Spec) listMembers(obj *object.Object) error {
	s.members = make(map[string]map[string]string)
	for _, m := range obj.Maps {
		if ebpf.MapType(m.Type) != ebpf.StructOpsMap || s.Maps[m.Name] == nil {
			continue
		}
		s.members[m.Name] = make(map[string]string)
		for member, f := range m.Programs {
			s.members[m.Name][member] = f.Name
		}
	}
	return nil
}

// setMembers makes operations other programs, or none. A program that was an
// operation and is none any more is not loaded.
func (s *Spec) setMembers(members []OpsMember) error {
	before := s.operations()
	for _, m := range members {
		if s.members[m.Map] == nil {
			return fmt.Errorf("set operation %s of %s: the object has no such struct_ops map", m.Member, m.Map)
		}
		if m.Program == "" {
			delete(s.members[m.Map], m.Member)
			continue
		}
		p := s.Programs[m.Program]
		own, ok := btf.As[*btf.Struct](s.Maps[m.Map].Value)
		if p == nil || p.Type != ebpf.StructOps || !ok {
			return fmt.Errorf("make operation %s of %s the program %s: the object has no such struct_ops program that is loaded", m.Member, m.Map, m.Program)
		}
		p.AttachTo = own.Name + ":" + m.Member
		s.members[m.Map][m.Member] = m.Program
	}
	after := s.operations()
	for name := range before {
		if !after[name] {
			delete(s.Programs, name)
		}
	}
	return nil
}

// operations are the programs that struct_ops maps refer to.
func (s *Spec) operations() map[string]bool {
	all := make(map[string]bool)
	for _, members := range s.members {
		for _, program := range members {
			all[program] = true
		}
	}
	return all
}

// optional reports whether a program is loaded only when it is asked for, as the
// ? before its section's name says. A struct_ops map asks for its programs.
func (s *Spec) optional(p *ebpf.ProgramSpec) bool {
	return strings.HasPrefix(p.SectionName, "?") && !s.on[p.Name] && !s.operations()[p.Name]
}
