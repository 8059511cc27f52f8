package object

import (
	"cmp"
	"fmt"
	"math"
	"slices"
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
		data, err := f.initial(sec)
		if err != nil {
			return err
		}
		for _, v := range s.Vars {
			m, err := structOpsMap(sec.Name, v)
			if err != nil {
				return f.failAt(sec, int64(v.Offset), "struct_ops %s: %w", v.Name, err)
			}
			if end := uint64(v.Offset) + uint64(m.ValueSize); end <= uint64(len(data)) {
				m.Initial = data[v.Offset:end:end]
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
	members := make(map[*btf.Struct]map[btf.Bits]string)
	for i, sec := range f.elf.Sections {
		if !isStructOps(sec.Name) {
			continue
		}
		rels, err := f.relocations(i)
		if err != nil {
			return err
		}
		instances := o.instancesIn(sec.Name)
		for _, r := range rels {
			o.implement(f, instances, members, r)
		}
	}
	return nil
}

// instancesIn returns the maps that a section defines, by offset.
func (o *Object) instancesIn(section string) (maps []*Map) {
	for i := range o.Maps {
		if o.Maps[i].Section == section {
			maps = append(maps, &o.Maps[i])
		}
	}
	slices.SortStableFunc(maps, func(a, b *Map) int { return cmp.Compare(a.Offset, b.Offset) })
	return maps
}

// implement notes that the member at a relocation is the function that the
// relocation names. members are those of structs that were met, by offset.
func (o *Object) implement(f *file, instances []*Map, members map[*btf.Struct]map[btf.Bits]string, r rel) {
	if int(r.symbol.Section) >= len(f.elf.Sections) || !isCode(f.elf.Sections[r.symbol.Section]) {
		return
	}
	ref := o.functionAt(f.elf.Sections[r.symbol.Section].Name, r.symbol.Name, int64(r.symbol.Value))
	next, _ := slices.BinarySearchFunc(instances, r.offset, func(m *Map, offset uint64) int {
		if uint64(m.Offset) <= offset {
			return -1
		}
		return 1
	})
	if next == 0 || ref.Function == nil {
		return
	}
	m := instances[next-1]
	ops, ok := btf.As[*btf.Struct](m.Value)
	if !ok {
		return
	}
	if members[ops] == nil {
		members[ops] = make(map[btf.Bits]string, len(ops.Members))
		for _, member := range ops.Members {
			members[ops][member.Offset] = member.Name
		}
	}
	name, exists := members[ops][btf.Bits(8*(r.offset-uint64(m.Offset)))]
	if !exists || r.offset-uint64(m.Offset) > math.MaxUint32/8 {
		return
	}
	if m.Programs == nil {
		m.Programs = make(map[string]*Function)
	}
	m.Programs[name] = ref.Function
}
