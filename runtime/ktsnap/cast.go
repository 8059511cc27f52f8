package ktsnap

import (
	"github.com/ktgen/ktgen/runtime/ctype"
)

// Cast says that a place in the program's data, which is declared as an
// integer or as a void *, holds pointers, and to what: a finding of package
// cast. Casts are part of the layout of generated code, and are given to
// captures, which follow such pointers while the guest stands still.
type Cast struct {
	In    string // what the place is in: "struct task_ctx", "section .bss", "map heads"
	Path  string // the member there, as C spells it: "task", "nodes[].next"; empty for a map's value itself
	To    string // what it points to: "struct task_struct"
	Space ctype.Space

	// Behind is how many bytes the header in front of To has, if the place points to
	// that header: a "struct sdt_data", which the program only declares. The place
	// can then be declared as a pointer to the header.
	Behind int
}

// Annotation says that v is a pointer if the program declares it as something
// else, and where its address leads: "cast→kernel", "cast→arena", "cast→map" or
// "cast→global". For NULL, and for an address that nothing was captured at, it says
// what package cast has found, "cast→unknown" if that is several of these.
//
// If the target is an object of an [Allocator], whose type the program only declares,
// it is "cast→arena (sdt_alloc)", or "sdt_alloc" if BTF declares the pointer. For all
// else it is empty.
func (v Value) Annotation() string {
	u := v.underlying()
	if v.err != nil || u == nil || u.Kind != ctype.KindPointer {
		return ""
	}
	r, addr := v.root.m.r, v.load(u)
	allocated := r.isAllocated(u.Elem, addr)
	switch {
	case u.IsCast() && allocated:
		return "cast→arena (sdt_alloc)"
	case u.IsCast():
		return "cast→" + r.spaceOf(u, addr).String()
	case allocated:
		return "sdt_alloc"
	}
	return ""
}

// spaceOf is the space that a cast's address is in; the cast's own if nothing
// was captured there.
func (r *reader) spaceOf(cast *ctype.Shape, addr uint64) ctype.Space {
	if addr == 0 {
		return cast.Space // also where it is an offset into the arena
	}
	canonical := r.memory().Canonical(addr)
	if at, ok := r.memory().Span(canonical); ok {
		return at.space()
	}
	switch {
	case r.memory().inArena(canonical):
		return ctype.SpaceArena
	case r.memory().hasKernelObject(addr):
		return ctype.SpaceKernel
	}
	return cast.Space
}

// space is where the memory of a span is.
func (s *Span) space() ctype.Space {
	switch {
	case s.Owner == nil:
		return ctype.SpaceKernel
	case len(s.Owner.Extents) > 0:
		return ctype.SpaceArena
	case s.Owner.Value != nil && s.Owner.Value.Kind == ctype.KindSection:
		return ctype.SpaceGlobal
	}
	return ctype.SpaceMap
}
