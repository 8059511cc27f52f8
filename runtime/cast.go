package runtime

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

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

	// Behind is how many bytes of a header are in front of To, if it points to
	// those: a "struct sdt_data" of which the program says no more. The place can
	// be declared as a pointer to the header then.
	Behind int
}

// Annotation says how it is known that v is a pointer, if the program declares
// it as something else, and where its address leads: "cast→kernel" or
// "cast→arena", "cast→map" and "cast→global" for the program's own objects
// elsewhere. NULL, and an address that nothing was captured at, are annotated
// with what package cast has found, "cast→unknown" if that is several of these.
// "sdt_alloc", behind "cast→arena" in parentheses if there is both, is what the
// target was taken for by: it is an object of an [Allocator], and the program
// declares its type and does not define it. It is empty for other pointers that
// BTF declares, and for everything else.
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
	r.memory.load(r.snapshot)
	canonical := r.memory.canonical(addr)
	if at, ok := r.memory.span(canonical); ok {
		return at.space()
	}
	switch {
	case r.memory.inArena(canonical):
		return ctype.SpaceArena
	case r.kernel.any(r.snapshot, addr):
		return ctype.SpaceKernel
	}
	return cast.Space
}

// space is where the memory of a span is.
func (s *span) space() ctype.Space {
	switch {
	case s.owner == nil:
		return ctype.SpaceKernel
	case len(s.owner.Extents) > 0:
		return ctype.SpaceArena
	case s.owner.Value != nil && s.owner.Value.Kind == ctype.KindSection:
		return ctype.SpaceGlobal
	}
	return ctype.SpaceMap
}

// Casts lists the pointers of the layout that the program declares as
// something else.
func (l *Layout) Casts() ([]Cast, error) {
	table, err := ctype.Parse(l.Shapes)
	if err != nil {
		return nil, fmt.Errorf("the generated code of package %s is damaged: %w", l.Package, err)
	}
	var casts []Cast
	for _, s := range table.All() {
		if container(s) != "" {
			casts = appendCasts(casts, container(s), "", s, ctype.MaxNesting)
		}
	}
	for _, m := range l.Maps {
		if value, err := table.Optional(m.Value); err == nil && value != nil && value.Kind != ctype.KindStruct && value.Kind != ctype.KindUnion {
			casts = appendCasts(casts, "map "+m.Name, "", value, ctype.MaxNesting)
		}
	}
	slices.SortFunc(casts, compareCasts)
	return slices.Compact(casts), nil
}

func compareCasts(a, b Cast) int {
	return cmp.Or(cmp.Compare(a.In, b.In), cmp.Compare(a.Path, b.Path), cmp.Compare(a.To, b.To), cmp.Compare(a.Space, b.Space), cmp.Compare(a.Behind, b.Behind))
}

// container is how casts name the type that a place is in, empty if s is none.
func container(s *ctype.Shape) string {
	switch {
	case s.Name == "":
		return ""
	case s.Kind == ctype.KindStruct, s.Kind == ctype.KindUnion:
		return ctype.Spell(s)
	case s.Kind == ctype.KindSection:
		return "section " + s.Name
	}
	return ""
}

// appendCasts adds the casts at path and below it, as far as nothing with a
// name of its own is in between.
func appendCasts(casts []Cast, in, path string, s *ctype.Shape, depth int) []Cast {
	u := s.Underlying()
	if u == nil || depth == 0 {
		return casts
	}
	switch u.Kind {
	case ctype.KindPointer:
		target := stripTypedefs(u.Elem)
		if payload, ok := target.Payload(); ok {
			casts = append(casts, Cast{In: in, Path: path, To: ctype.Spell(payload.Type), Space: u.Space, Behind: payload.Offset})
		} else if u.IsCast() {
			casts = append(casts, Cast{In: in, Path: path, To: ctype.Spell(target), Space: u.Space})
		}
	case ctype.KindArray:
		return appendCasts(casts, in, path+"[]", u.Elem, depth-1)
	case ctype.KindStruct, ctype.KindUnion, ctype.KindSection:
		if path != "" && u.Name != "" {
			return casts
		}
		for _, m := range u.Fields() {
			casts = appendCasts(casts, in, strings.TrimPrefix(path+"."+m.Name, "."), m.Type, depth-1)
		}
	}
	return casts
}
