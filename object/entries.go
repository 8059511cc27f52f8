package object

import (
	"debug/elf"

	"github.com/cilium/ebpf/btf"
)

// This file reads what the definition of a map of maps or of a program array names,
// in __array(values, T): relocations are in the places of the pointers.

const pointerSize = 8

// readEntries notes what the maps that are defined name.
func (o *Object) readEntries(f *file) error {
	for i, sec := range f.elf.Sections {
		if sec.Name != mapsSection {
			continue
		}
		rels, err := f.relocations(i)
		if err != nil {
			return err
		}
		for _, r := range rels {
			m := o.definedAt(r.offset)
			if m == nil {
				return f.failAt(sec, int64(r.offset), "it refers to %s there, which is in no map's values: name maps and programs in .values only", r.symbol.Name)
			}
			if elf.ST_TYPE(r.symbol.Info) == elf.STT_SECTION {
				return f.failAt(sec, int64(r.offset), "map %s: its definition names something static: declare that without static, since loaders find maps and programs by their names", m.Name)
			}
			if m.Entries == nil {
				m.Entries = make(map[uint32]string)
			}
			m.Entries[uint32((r.offset-uint64(m.Offset)-m.values.start)/pointerSize)] = r.symbol.Name
		}
	}
	return nil
}

// definedAt returns the map that has byte offset of .maps among its values.
func (o *Object) definedAt(offset uint64) *Map {
	for i := range o.Maps {
		m := &o.Maps[i]
		start := uint64(m.Offset) + m.values.start
		if m.Section == mapsSection && m.values.end > 0 && offset >= start && offset+pointerSize <= uint64(m.Offset)+m.values.end {
			return m
		}
	}
	return nil
}

// span is a range of bytes.
type span struct{ start, end uint64 }

// placeValues notes where in a definition of size bytes its values are, which are its
// last member.
func (m *Map) placeValues(t btf.Type, size uint32) {
	def, ok := btf.As[*btf.Struct](t)
	if !ok || len(def.Members) == 0 {
		return
	}
	if last := def.Members[len(def.Members)-1]; last.Name == "values" {
		m.values = span{uint64(last.Offset.Bytes()), uint64(size)}
	}
}
