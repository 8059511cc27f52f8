package runtime

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/ktgen/ktgen/runtime/ctype"
)

// arenaSection is a section of variables that lies in an arena.
type arenaSection struct {
	m     *Map // stands for it, as other sections have maps of their own
	arena *Map
}

// firstSectionID is the id of the first map that stands for a section of an
// arena. The kernel's ids are below (map_idr, kernel/bpf/syscall.c).
const firstSectionID = 1 << 31

// maxArenaSections bounds the sections of arenas that a snapshot has; those of a
// damaged one may each claim all of the arena.
const maxArenaSections = 16

// arenaGlobals returns the sections of variables in the snapshot's arena, as
// each program's BTF describes them. One that is not there as a whole has the
// reason. There are none without an arena, and none of those that have maps.
func (s *Snapshot) arenaGlobals() []arenaSection {
	var arenas []*Map
	for _, m := range s.Maps {
		if m.Type == MapTypeArena {
			arenas = append(arenas, m)
		}
	}
	var sections []arenaSection
	for _, shape := range s.arenaShapes() {
		if len(arenas) == 0 || len(sections) == maxArenaSections || s.hasSection(shape.Name) {
			continue
		}
		m := s.sectionIn(arenas, shape.Shape)
		m.ID, m.Program = firstSectionID+uint32(len(sections)), shape.program
		sections = append(sections, arenaSection{m, arenas[0]})
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
	var pages memory
	pages.addArena(arena)
	slices.SortStableFunc(pages.spans, func(a, b span) int { return cmp.Compare(a.start, b.start) })
	page := uint64(cmp.Or(s.Guest.PageSize, 4096))
	start := cmp.Or(arena.Extra, arena.Extents[0].Addr)
	size := (uint64(shape.Size) + page - 1) / page * page
	for _, addr := range [...]uint64{start + uint64(arena.MaxEntries)*page - size, start} {
		if data, captured := pages.read(addr, shape.Size); captured {
			return data, addr
		}
	}
	return nil, 0
}

// findGlobals returns the map that stands for a section of variables in the
// arena.
func (b *Binding) findGlobals(want *ctype.Shape) (*Map, error) {
	var found []*Map
	chosen := func(m *Map, id uint32) bool {
		return m.Value != nil && isSection(m, want.Name) && (len(b.options.mapIDs) == 0 || slices.Contains(b.options.mapIDs, id))
	}
	for _, m := range b.snapshot.Maps {
		if chosen(m, m.ID) {
			found = append(found, m)
		}
	}
	for _, section := range b.snapshot.arenaGlobals() {
		if chosen(section.m, section.arena.ID) {
			found = append(found, section.m)
		}
	}
	if len(found) > 1 {
		found = preferred(found, func(m *Map) bool { return len(m.Value.Members) == len(want.Members) })
	}
	switch len(found) {
	case 0:
		return nil, errors.New("no arena of the snapshot holds it: there must be one, whose pages were captured, and a program whose BTF describes the section")
	case 1:
		if found[0].Status == Failed {
			return nil, found[0].checkSection()
		}
		return found[0], nil
	}
	return nil, ambiguousMap(want.Name, found)
}
