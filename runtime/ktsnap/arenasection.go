package ktsnap

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/ktgen/ktgen/runtime/ctype"
)

// ArenaSection is a section of variables that lies in an arena.
type ArenaSection struct {
	Is    *Map // stands for it, as other sections have maps of their own
	Arena *Map
}

// firstSectionID is the id of the first map that stands for a section of an
// arena. The kernel's ids are below (map_idr, kernel/bpf/syscall.c).
const firstSectionID = 1 << 31

// maxArenaSections bounds the sections of arenas that a snapshot has; those of a
// damaged one may each claim all of the arena.
const maxArenaSections = 16

// ArenaSections returns the sections of variables in the snapshot's arena, as
// each program's BTF describes them. One that is not there as a whole has the
// reason. There are none without an arena, and none of those that have maps.
func (s *Snapshot) ArenaSections() []ArenaSection {
	var arenas []*Map
	for _, m := range s.Maps {
		if m.Type == MapTypeArena {
			arenas = append(arenas, m)
		}
	}
	var sections []ArenaSection
	for _, shape := range s.arenaShapes() {
		if len(arenas) == 0 || len(sections) == maxArenaSections || s.hasSection(shape.Name) {
			continue
		}
		m := s.sectionIn(arenas, shape.Shape)
		m.ID, m.Program = firstSectionID+uint32(len(sections)), shape.program
		sections = append(sections, ArenaSection{m, arenas[0]})
	}
	return sections
}

// programShape is a shape of a program's BTF.
type programShape struct {
	*ctype.Shape
	program *Program
}

// arenaShapes are the sections of arenas that programs have.
func (s *Snapshot) arenaShapes() (all []programShape) {
	for _, p := range s.Programs {
		if p == nil {
			continue
		}
		for _, shape := range p.Shapes {
			if shape != nil && shape.Kind == ctype.KindSection && ctype.IsArenaSection(shape.Name) && shape.Size > 0 {
				all = append(all, programShape{shape, p})
			}
		}
	}
	return all
}

// hasSection tells whether a section has a map, as it has in fixtures.
func (s *Snapshot) hasSection(name string) bool {
	return slices.ContainsFunc(s.Maps, func(m *Map) bool {
		return m.Value != nil && m.Value.Kind == ctype.KindSection && m.Value.Name == name
	})
}

// sectionIn returns a map that stands for a section in an arena. It is Failed if
// it cannot be told where that is: a snapshot of several arenas does not say
// which is whose.
func (s *Snapshot) sectionIn(arenas []*Map, shape *ctype.Shape) *Map {
	m := &Map{
		Name: shape.Name, Type: MapTypeArray, KeySize: 4, ValueSize: shape.Size, MaxEntries: 1,
		Value: shape, Total: 1, Slots: 1, Stride: shape.Size, Status: Failed,
	}
	if len(arenas) > 1 {
		m.Reason = fmt.Sprintf("there are %d arenas, and it is not known in which it is", len(arenas))
		return m
	}
	if m.Values, m.Base = s.placeIn(arenas[0], shape); m.Values == nil {
		m.Reason = fmt.Sprintf("its pages, of arena %s, were not captured", arenas[0].Name)
		return m
	}
	m.N, m.Status = 1, Complete
	return m
}

// placeIn returns the bytes of a section in an arena, and where they are; nil if
// its pages are not there. libbpf puts it at the start of the arena, and from
// v1.7 on at its end, which nobody else fills.
func (s *Snapshot) placeIn(arena *Map, shape *ctype.Shape) (data []byte, addr uint64) {
	if len(arena.Extents) == 0 {
		return nil, 0
	}
	var pages Memory
	pages.addArena(arena)
	slices.SortStableFunc(pages.spans, func(a, b Span) int { return cmp.Compare(a.Start, b.Start) })
	page := uint64(cmp.Or(s.Guest.PageSize, 4096))
	start := cmp.Or(arena.Extra, arena.Extents[0].Addr)
	size := (uint64(shape.Size) + page - 1) / page * page
	for _, addr := range [...]uint64{start + uint64(arena.MaxEntries)*page - size, start} {
		if data, captured := pages.Read(addr, shape.Size); captured {
			return data, addr
		}
	}
	return nil, 0
}

// IsSection tells whether a map is the global section of that name. Loaders
// name the map after the section, libbpf with a piece of the object's name in
// front.
func (m *Map) IsSection(name string) bool {
	if m.Type != MapTypeArray {
		return false
	}
	if m.Value != nil && m.Value.Kind == ctype.KindSection {
		return m.Value.Name == name
	}
	return strings.HasSuffix(m.Name, name)
}

// CheckSection checks that a map can be read as a section.
func (m *Map) CheckSection() error {
	switch {
	case m.Status != Complete:
		return m.incomplete()
	case m.Value == nil:
		return &NoShapeError{Map: m.Name, Side: "value", Section: true}
	case m.N != 1 || m.Slots != 1 || m.Value.Kind != ctype.KindSection || m.Value.Size > m.ValueSize:
		return fmt.Errorf("the snapshot is damaged: section %s has %d entries of %d bytes, and its type %d bytes", m.Name, m.N, m.ValueSize, m.Value.Size)
	}
	return m.Check()
}
