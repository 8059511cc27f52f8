package gen

import (
	"maps"
	"slices"

	"github.com/ktgen/ktgen/runtime/ctype"
)

// This file copies what is selected of the kernel's types. Each becomes one Go
// type with everything that any place needs of it, however many places,
// definitions and flavors of it there are: the kernel has one.

// kernelShape returns what an object knows of a struct or union of the kernel: the
// members of all its definitions, flavors included. It is nil if there are none.
func (p *part) kernelShape(name string) (*ctype.Shape, error) {
	var all *ctype.Shape
	for _, t := range p.flavors(name) {
		s, err := p.shapes.Of(t)
		switch {
		case err != nil:
			return nil, err
		case all == nil:
			all = s
		case all.Kind == s.Kind:
			all = withMembers(all, s)
		}
	}
	if all == nil || all.Name == name {
		return all, nil
	}
	named := *all
	named.Name = name
	return &named, nil
}

// withMembers returns a struct with those members of another that it lacks. They are
// put behind it: where members are in the kernel is found out by their names.
func withMembers(s, other *ctype.Shape) *ctype.Shape {
	known := make(map[string]bool)
	for _, m := range s.Fields() {
		known[m.Name] = true
	}
	out, end := *s, alignUp(s.Size)
	out.Members = slices.Clone(s.Members)
	for _, m := range other.Fields() {
		if !known[m.Name] {
			m.Offset += end
			out.Members, out.Size = append(out.Members, m), end+other.Size
		}
	}
	if out.Size == s.Size {
		return s
	}
	return &out
}

// alignUp rounds a size in bytes up to the largest alignment that C has here.
func alignUp(size int) int { return (size + 7) &^ 7 }

// kernelRoot is a type of the kernel that the program's data points to, as an object
// of the package describes it.
type kernelRoot struct {
	*part
	shape    *ctype.Shape
	some     selection
	accessed map[string]selection // by that object
}

// kernelCopy copies types of the kernel, each once. Pointers in the copies lead to
// declarations.
type kernelCopy struct {
	prune  *pruner
	from   *kernelRoot             // whose members are selected
	named  map[string]*ctype.Shape // that stand for all of their name
	chosen map[*ctype.Shape]selection
	copies map[*ctype.Shape]*ctype.Shape // nil while one is made
}

func newKernelCopy(prune *pruner) *kernelCopy {
	return &kernelCopy{
		prune:  prune,
		named:  make(map[string]*ctype.Shape),
		chosen: make(map[*ctype.Shape]selection),
		copies: make(map[*ctype.Shape]*ctype.Shape),
	}
}

// choose selects what is to be generated of a type, and returns the shape that stands
// for it.
func (c *kernelCopy) choose(root *kernelRoot) *ctype.Shape {
	c.from = root
	return c.chooseOf(root.shape, root.some)
}

// one returns the shape that stands for all that have the name of s.
func (c *kernelCopy) one(s *ctype.Shape) *ctype.Shape {
	if s.Name == "" {
		return s
	}
	name := ctype.EssentialName(s.Name)
	key := ctype.Spell(&ctype.Shape{Kind: s.Kind, Name: name})
	if c.named[key] == nil {
		all, err := c.from.kernelShape(name)
		if err != nil || all == nil || all.Kind != s.Kind {
			all = s
		}
		c.named[key] = all
	}
	return c.named[key]
}

// chooseOf selects members of a struct or union, besides those that other places have
// selected, and what is nested in them. It returns the shape that stands for it.
func (c *kernelCopy) chooseOf(s *ctype.Shape, some selection) *ctype.Shape {
	s = c.one(s)
	before, known := c.chosen[s]
	all := some
	if known {
		all = before.with(some)
	}
	if known && before.equal(all) {
		return s
	}
	c.chosen[s] = all
	for _, m := range s.Fields() {
		if sub, ok := all[m.Name]; ok || all == nil {
			c.chooseIn(m.Type, sub)
		}
	}
	return s
}

// chooseIn is chooseOf for what a member is.
func (c *kernelCopy) chooseIn(s *ctype.Shape, some selection) {
	u := s.Underlying()
	for range maxNesting {
		if u == nil || u.Kind != ctype.KindArray {
			break
		}
		u = u.Elem.Underlying()
	}
	if u == nil || u.Kind != ctype.KindStruct && u.Kind != ctype.KindUnion {
		return
	}
	if some == nil && len(u.Fields()) > maxWhole {
		if some = c.from.accessed[ctype.EssentialName(u.Name)]; len(some) == 0 {
			return
		}
	}
	c.chooseOf(u, some)
}

// with returns what either of two selections selects.
func (s selection) with(other selection) selection {
	if s == nil || other == nil {
		return nil
	}
	all := maps.Clone(s)
	for name, more := range other {
		if some, ok := all[name]; ok {
			more = some.with(more)
		}
		all[name] = more
	}
	return all
}

func (s selection) equal(other selection) bool {
	return (s == nil) == (other == nil) && maps.EqualFunc(s, other, selection.equal)
}

// structure copies what was chosen of a struct or union; see choose. Its members are
// flat in the copy, but for flexible arrays: those are behind all others there. It is
// nil for one that contains itself.
func (c *kernelCopy) structure(s *ctype.Shape) *ctype.Shape {
	if known, ok := c.copies[s]; ok {
		return known
	}
	c.copies[s] = nil
	out, some, behind := *s, c.chosen[s], &ctype.Shape{Kind: ctype.KindUnion}
	out.Members = nil
	var before []ctype.Member
	for _, m := range s.Fields() {
		if _, ok := some[m.Name]; !ok && some != nil {
			continue
		}
		end, isTail := m.Tail()
		copied := m
		switch copied.Type = c.value(m.Type); {
		case copied.Type == nil:
		case copied.Type.IsFlexible() && isTail && end == 0:
			copied.Offset = 0
			behind.Members = append(behind.Members, copied)
		case !copied.Type.IsFlexible():
			before, out.Members = append(before, m), append(out.Members, copied)
		}
	}
	makeRoom(&out, before)
	if len(behind.Members) > 0 {
		out.Members = append(out.Members, ctype.Member{Offset: out.Size, Type: behind})
	}
	c.copies[s] = &out
	return &out
}

// makeRoom moves members back if those in front of them are larger than before: other
// definitions of a member's type can add members to it.
func makeRoom(s *ctype.Shape, before []ctype.Member) {
	for i, m := range before {
		grown := alignUp(max(0, s.Members[i].Type.Size-m.Type.Size))
		if grown == 0 {
			continue
		}
		s.Size += grown
		for k, other := range before {
			if other.Offset >= m.Offset+m.Type.Size {
				s.Members[k].Offset += grown
			}
		}
	}
}

// value copies the type of a member, nil if nothing of it is left.
func (c *kernelCopy) value(s *ctype.Shape) *ctype.Shape {
	u := s.Underlying()
	if u == nil || u.Size == 0 && !u.IsFlexible() {
		return nil
	}
	switch u.Kind {
	case ctype.KindStruct, ctype.KindUnion:
		u = c.one(u)
		if _, isChosen := c.chosen[u]; !isChosen {
			return nil
		}
		if copied := c.structure(u); copied != nil && len(copied.Members) > 0 {
			return copied
		}
		return nil
	case ctype.KindArray:
		elem := c.value(u.Elem)
		if elem == nil {
			return nil
		}
		out := *u
		out.Elem, out.Size = elem, u.Len*elem.Size
		return &out
	case ctype.KindPointer:
		return c.pointer(u)
	}
	return c.prune.shape(s)
}

// pointer copies a pointer, which leads to a declaration.
func (c *kernelCopy) pointer(u *ctype.Shape) *ctype.Shape {
	out := *u
	if out.Elem = u.Elem.Underlying(); out.Elem == nil {
		return nil
	}
	switch out.Elem.Kind {
	case ctype.KindStruct, ctype.KindUnion, ctype.KindFwd:
		out.Elem = c.prune.declared(ctype.EssentialName(targetName(u.Elem)))
	case ctype.KindFunc:
	default:
		out.Elem = c.prune.declared("") // void
	}
	return &out
}
