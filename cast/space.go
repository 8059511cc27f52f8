package cast

// This file tells which memory a pointer leads into, where the type alone does not:
// what is stored in a place, what is converted to an address of the arena, and what
// is copied between places show it.

import (
	"github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/runtime/ctype"
)

// spaceSet is a set of known spaces, by their bits.
type spaceSet uint8

func setOf(s ctype.Space) spaceSet {
	if s == ctype.SpaceUnknown {
		return 0
	}
	return 1 << s
}

// only returns the space of a set of one.
func (s spaceSet) only() ctype.Space {
	for space := ctype.SpaceKernel; space <= ctype.SpaceUser; space++ {
		if s == setOf(space) {
			return space
		}
	}
	return ctype.SpaceUnknown
}

// noteSpace notes that a value is converted between the addresses of an arena: so
// are all that the place holds that it was loaded from, and those of its type.
func (w *walk) noteSpace(v value) {
	if v.from.state == oneOrigin && !v.from.off.anywhere() {
		w.addSpaces(w.cell(v.from.slot), setOf(ctype.SpaceArena))
	}
	if v.ptr.known() && v.ptr.region == typed {
		w.typeSpaces[v.ptr.typ] |= setOf(ctype.SpaceArena)
	}
}

// inSpaceOf is v, a pointer to what others that led to memory without a type lead to:
// it leads into the same space.
func (w *walk) inSpaceOf(v value, others ...value) value {
	for _, o := range others {
		if v.from.state != oneOrigin {
			continue
		}
		if o.from.state == oneOrigin {
			w.addSpaces(w.cell(v.from.slot), w.cell(o.from.slot).spaces)
		}
		if o.like.n <= maxKins {
			for _, id := range o.like.ids[:o.like.n] {
				w.addSpaces(w.cell(v.from.slot), w.cell(w.kin.slots[id]).spaces)
			}
		}
	}
	return v
}

// addSpaces adds to what is known of the spaces that a cell's pointers lead into.
func (e *engine) addSpaces(c *cell, set spaceSet) {
	if c.spaces|set != c.spaces {
		c.spaces |= set
		e.change()
		c.changed = e.clock
	}
}

// spaceOfCell is the space that the pointers of a cell lead into: that of its own, or
// of those that are copied there and from there, or of all to the type.
func (a *Analysis) spaceOfCell(s slot, c *cell) ctype.Space {
	p := c.pointer()
	if p.space != ctype.SpaceUnknown {
		return p.space
	}
	if c.spaces != 0 {
		return c.spaces.only()
	}
	byKin, byType := a.knownSpaces()
	if kin := byKin[a.kin.of(s)]; kin != 0 {
		return kin.only()
	}
	return byType[p.typ].only()
}

// knownSpaces are the spaces that are known of the kin of slots, and of the objects of
// a type: those that pointers to it lead into, and that maps and sections hold.
func (a *Analysis) knownSpaces() (byKin map[int32]spaceSet, byType map[btf.Type]spaceSet) {
	if a.spacesByKin != nil {
		return a.spacesByKin, a.spacesByType
	}
	byKin, byType = make(map[int32]spaceSet), make(map[btf.Type]spaceSet)
	for t, set := range a.typeSpaces {
		byType[t] |= set
	}
	for s, c := range a.cells {
		p := c.pointer()
		set := c.spaces | setOf(p.space)
		byKin[a.kin.of(s)] |= set
		if p.known() && p.region == typed {
			byType[p.typ] |= set
		}
	}
	held := func(t btf.Type, space ctype.Space) {
		o := owner{layouts: a.layouts, own: make(map[btf.Type]bool)}
		o.claim(t)
		for t := range o.own {
			byType[t] |= setOf(space)
		}
	}
	for i := range a.obj.Maps {
		if m := &a.obj.Maps[i]; m.Value != nil && !isStructOpsMap(m) {
			held(m.Value, ctype.SpaceMap)
		}
	}
	for i := range a.obj.Sections {
		space := ctype.SpaceGlobal
		if a.obj.Sections[i].Kind == object.Arena {
			space = ctype.SpaceArena
		}
		for _, v := range a.obj.Sections[i].Vars {
			held(v.Type, space)
		}
	}
	a.spacesByKin, a.spacesByType = byKin, byType
	return byKin, byType
}
