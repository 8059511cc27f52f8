package object

import (
	"fmt"
	"strings"

	"github.com/cilium/ebpf/btf"

	ktbtf "github.com/ktgen/ktgen/btf"
)

// isStructOps tells whether a section holds struct_ops instances: .struct_ops,
// .struct_ops.link, or either with the "?" that keeps libbpf from loading it
// unasked.
func isStructOps(name string) bool {
	name = strings.TrimPrefix(name, "?")
	return name == ".struct_ops" || strings.HasPrefix(name, ".struct_ops.")
}

// readStructOps adds a map for each struct_ops instance, as loaders do.
func (o *Object) readStructOps(f *file) error {
	seen := make(map[string]bool)
	for _, sec := range f.elf.Sections {
		if !isStructOps(sec.Name) || seen[sec.Name] {
			continue
		}
		seen[sec.Name] = true
		s, err := o.definitions(f, sec.Name)
		if err != nil {
			return err
		}
		for _, v := range s.Vars {
			m, err := structOpsMap(sec.Name, v)
			if err != nil {
				return f.failAt(sec, int64(v.Offset), "struct_ops %s: %w", v.Name, err)
			}
			o.Maps = append(o.Maps, *m)
		}
	}
	return nil
}

func structOpsMap(section string, v Var) (*Map, error) {
	ops, ok := btf.As[*btf.Struct](v.Type)
	if !ok {
		return nil, fmt.Errorf("it is a %s, want a struct", ktbtf.Spell(v.Type))
	}
	return &Map{
		Name:       v.Name,
		Type:       structOps,
		KeySize:    4,
		ValueSize:  ops.Size,
		MaxEntries: 1,
		Value:      ops,
		Tags:       v.Tags,
		Section:    section,
		Offset:     v.Offset,
		Weak:       v.Weak,
		Static:     v.Static,
	}, nil
}

// readStructOpsMembers finds the functions that struct_ops instances point at.
func (o *Object) readStructOpsMembers(f *file) error {
	for i, sec := range f.elf.Sections {
		if !isStructOps(sec.Name) {
			continue
		}
		rels, err := f.relocations(i)
		if err != nil {
			return err
		}
		for _, r := range rels {
			o.implement(f, sec.Name, r)
		}
	}
	return nil
}

// implement notes that the member at a relocation is the function that the
// relocation names.
func (o *Object) implement(f *file, section string, r rel) {
	if int(r.symbol.Section) >= len(f.elf.Sections) || !isCode(f.elf.Sections[r.symbol.Section]) {
		return
	}
	ref := o.functionAt(f.elf.Sections[r.symbol.Section].Name, r.symbol.Name, int64(r.symbol.Value))
	for i := range o.Maps {
		m := &o.Maps[i]
		if m.Section != section || ref.Function == nil || r.offset < uint64(m.Offset) {
			continue
		}
		ops, _ := btf.As[*btf.Struct](m.Value)
		for _, member := range ops.Members {
			if uint64(m.Offset)+uint64(member.Offset/8) != r.offset {
				continue
			}
			if m.Programs == nil {
				m.Programs = make(map[string]*Function)
			}
			m.Programs[member.Name] = ref.Function
		}
	}
}
