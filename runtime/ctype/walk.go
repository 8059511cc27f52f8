package ctype

import (
	"slices"
	"strconv"
	"strings"
)

// A Part is the value that a walk is through, or a member or an element that is in
// it, however deep.
type Part struct {
	Shape  *Shape  // without typedefs
	Member *Member // nil for the value itself and for elements
	Index  int     // of an element; -1 where one stands for all
	Offset int     // in bytes from the start of the value
	Up     *Part   // what it is in, nil for the value itself
}

// Next says where a walk goes after a part.
type Next int

const (
	Enter Next = iota // to what is in it
	Skip              // to what comes behind it
	Stop              // nowhere
)

// Bounds of what a walk visits: structs of no size, and members that overlap, can nest
// without end in few bytes of BTF.
const (
	maxParts = 1 << 24
	maxKinds = 1 << 20
)

// Walk calls visit for a value of s, and for what is in it: the members of structs,
// unions and sections, as the program defines them, and the elements of arrays. visit
// chooses, with no regard to what it returns for parts that nothing is in, and must not
// keep the part. Walk tells whether it came to the end: visit stopped it, or the types
// are nested beyond sense.
func (s *Shape) Walk(visit func(*Part) Next) bool {
	w := walk{visit: visit, left: maxParts}
	return w.part(&Part{Shape: s.Underlying()}, MaxNesting+1)
}

// WalkTypes is Walk with one element of each array, which stands for all.
func (s *Shape) WalkTypes(visit func(*Part) Next) bool {
	w := walk{visit: visit, left: maxKinds, once: true}
	return w.part(&Part{Shape: s.Underlying()}, MaxNesting+1)
}

type walk struct {
	visit func(*Part) Next
	left  int
	once  bool
}

// part visits p, and what is in it, up to a depth.
func (w *walk) part(p *Part, depth int) bool {
	if w.left--; w.left < 0 || depth == 0 {
		return false
	}
	if p.Shape == nil {
		return true
	}
	switch w.visit(p) {
	case Skip:
		return true
	case Stop:
		return false
	}
	switch p.Shape.Kind {
	case KindArray:
		return w.elements(p, depth-1)
	case KindStruct, KindUnion, KindSection:
		return w.members(p, depth-1)
	}
	return true
}

func (w *walk) elements(array *Part, depth int) bool {
	elem := array.Shape.Elem.Underlying()
	if w.once {
		return w.part(&Part{Shape: elem, Index: -1, Offset: array.Offset, Up: array}, depth)
	}
	p := &Part{Up: array}
	for i := range array.Shape.Len {
		p.Shape, p.Index, p.Offset = elem, i, array.Offset+i*array.Shape.Elem.Size
		if !w.part(p, depth) {
			return false
		}
	}
	return true
}

func (w *walk) members(of *Part, depth int) bool {
	p := &Part{Up: of}
	for i := range of.Shape.Members {
		m := &of.Shape.Members[i]
		p.Shape, p.Member, p.Offset = m.Type.Underlying(), m, of.Offset+m.Offset
		if !w.part(p, depth) {
			return false
		}
	}
	return true
}

// IsBitfield tells whether a part is a bitfield.
func (p *Part) IsBitfield() bool { return p.Member != nil && p.Member.Bits > 0 }

// Path is what is written behind the value's name to name the part, such as
// ".ctx.slots[3].next": empty for the value itself. Members without a name are not in it,
// as in C.
func (p *Part) Path() string {
	var steps []string
	for ; p.Up != nil; p = p.Up {
		steps = append(steps, p.step())
	}
	slices.Reverse(steps)
	return strings.Join(steps, "")
}

// step is what a part adds to the path.
func (p *Part) step() string {
	switch {
	case p.Member != nil && p.Member.Name != "":
		return "." + p.Member.Name
	case p.Member != nil:
		return ""
	case p.Index < 0:
		return "[]"
	}
	return "[" + strconv.Itoa(p.Index) + "]"
}
