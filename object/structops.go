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
