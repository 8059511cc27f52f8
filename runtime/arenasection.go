package runtime

import (
	"cmp"
	"errors"
	"slices"
	"strings"
)

// isArenaSection tells whether a section holds variables of an arena: clang
// calls it after their address space.
func isArenaSection(name string) bool { return strings.HasPrefix(name, ".addr_space.") }

// arenaGlobals returns maps that stand for the sections of variables in the
// snapshot's arena, as other sections have maps of their own. There is none if
// it has several arenas, as it does not say which is whose.
func (s *Snapshot) arenaGlobals() []*Map {
	var arenas []*Map
	for _, m := range s.Maps {
		if m.Type == MapTypeArena && len(m.Extents) > 0 {
			arenas = append(arenas, m)
		}
	}
	if len(arenas) != 1 {
		return nil
	}
	var sections []*Map
	for _, p := range s.Programs {
		if p == nil {
			continue
		}
		for _, shape := range p.Shapes {
			if shape == nil || shape.Kind != KindSection || !isArenaSection(shape.Name) || s.hasSection(shape.Name) {
				continue
			}
			if m := s.sectionIn(arenas[0], shape); m != nil {
				m.Program = p
				sections = append(sections, m)
			}
		}
	}
	return sections
}

// hasSection tells whether a section has a map, as it has in fixtures.
func (s *Snapshot) hasSection(name string) bool {
	return slices.ContainsFunc(s.Maps, func(m *Map) bool {
		return m.Value != nil && m.Value.Kind == KindSection && m.Value.Name == name
	})
}

// sectionIn returns a map that stands for a section in an arena, nil if its
// pages are not there. libbpf puts it at the start of the arena, and from v1.7
// on at its end, which nobody else fills.
func (s *Snapshot) sectionIn(arena *Map, shape *Shape) *Map {
	if shape.Size <= 0 {
		return nil
	}
	var pages memory
	pages.addArena(arena)
	slices.SortStableFunc(pages.spans, func(a, b span) int { return cmp.Compare(a.start, b.start) })
	page := uint64(cmp.Or(s.Guest.PageSize, 4096))
	start := cmp.Or(arena.Extra, arena.Extents[0].Addr)
	size := (uint64(shape.Size) + page - 1) / page * page
	places := []uint64{start + uint64(arena.MaxEntries)*page - size, start}
	for _, addr := range places {
		if data, captured := pages.read(addr, shape.Size); captured {
			return &Map{
				ID: arena.ID, Name: shape.Name, Type: MapTypeArray, KeySize: 4, ValueSize: shape.Size, MaxEntries: 1,
				Value: shape, Total: 1, N: 1, Slots: 1, Stride: shape.Size, Values: data, Base: addr,
			}
		}
	}
	return nil
}

// findGlobals returns the map that stands for a section of variables in the
// arena.
func (b *Binding) findGlobals(want *Shape) (*Map, error) {
	var found []*Map
	for _, m := range slices.Concat(b.snapshot.Maps, b.snapshot.arenaGlobals()) {
		if m.Value != nil && isSection(m, want.Name) && (len(b.options.mapIDs) == 0 || slices.Contains(b.options.mapIDs, m.ID)) {
			found = append(found, m)
		}
	}
	if len(found) > 1 {
		found = preferred(found, func(m *Map) bool { return len(m.Value.Members) == len(want.Members) })
	}
	switch len(found) {
	case 0:
		return nil, errors.New("no arena of the snapshot holds it: there must be one, whose pages were captured, and a program whose BTF describes the section")
	case 1:
		return found[0], nil
	}
	return nil, &AmbiguousMap{Requested: want.Name, IDs: []uint32{found[0].ID}}
}
