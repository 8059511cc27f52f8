package gen

import (
	"slices"

	"github.com/ktgen/ktgen/runtime/ctype"
)

// This file makes one shape of equal ones. A linked object has several types of
// one name where its files differ in what these lead to: struct waiting is there
// twice if it has a pointer to a struct task_struct that the files declare
// differently. Once pointers into the kernel are cut, they are equal.

// unifier knows the named types of an object that differ.
type unifier struct {
	known map[named][]*ctype.Shape
}

// named is what equal types have in common.
type named struct {
	kind ctype.Kind
	name string
	size int // bytes
}

// maxAlike bounds how many types of one name a type is compared with.
const maxAlike = 32

// unify replaces those of the fresh shapes that are equal to known ones, or to one
// another, in all the others. It returns what replaces which.
func (u *unifier) unify(fresh []*ctype.Shape) map[*ctype.Shape]*ctype.Shape {
	if u.known == nil {
		u.known = make(map[named][]*ctype.Shape)
	}
	replaced := make(map[*ctype.Shape]*ctype.Shape)
	for _, s := range fresh {
		if s.Name == "" || !isDeclared(s.Kind) {
			continue
		}
		key := named{s.Kind, s.Name, s.Size}
		alike := u.known[key]
		if i := slices.IndexFunc(alike, func(other *ctype.Shape) bool { return equalShapes(s, other) }); i >= 0 {
			replaced[s] = alike[i]
		} else if len(alike) < maxAlike {
			u.known[key] = append(alike, s)
		}
	}
	if len(replaced) > 0 {
		redirect(fresh, replaced)
	}
	return replaced
}

// isDeclared tells whether types of a kind have names of their own.
func isDeclared(k ctype.Kind) bool {
	switch k {
	case ctype.KindStruct, ctype.KindUnion, ctype.KindEnum, ctype.KindTypedef:
		return true
	}
	return false
}

// redirect has shapes refer to what replaces others.
func redirect(shapes []*ctype.Shape, replaced map[*ctype.Shape]*ctype.Shape) {
	for _, s := range shapes {
		if other := replaced[s.Elem]; other != nil {
			s.Elem = other
		}
		for i, m := range s.Members {
			if other := replaced[m.Type]; other != nil {
				s.Members[i].Type = other
			}
		}
	}
}

// equalShapes tells whether two shapes are the same C type, in all that they
// lead to.
func equalShapes(a, b *ctype.Shape) bool {
	type pair struct{ a, b *ctype.Shape }
	assumed := map[pair]bool{{a, b}: true}
	left := []pair{{a, b}}
	for len(left) > 0 {
		p := left[len(left)-1]
		left = left[:len(left)-1]
		if p.a == p.b {
			continue
		}
		if p.a == nil || p.b == nil || !equalDefinitions(p.a, p.b) {
			return false
		}
		next := []pair{{p.a.Elem, p.b.Elem}}
		for i := range p.a.Members {
			next = append(next, pair{p.a.Members[i].Type, p.b.Members[i].Type})
		}
		for _, n := range next {
			if !assumed[n] {
				assumed[n] = true
				left = append(left, n)
			}
		}
	}
	return true
}

// equalDefinitions compares what two shapes say themselves.
func equalDefinitions(a, b *ctype.Shape) bool {
	return a.Kind == b.Kind && a.Name == b.Name && a.Size == b.Size && a.Signed == b.Signed && a.Len == b.Len &&
		a.Declared == b.Declared && a.Space == b.Space && slices.Equal(a.Tags, b.Tags) && slices.Equal(a.Values, b.Values) &&
		slices.EqualFunc(a.Members, b.Members, func(x, y ctype.Member) bool {
			return x.Name == y.Name && x.Offset == y.Offset && x.Bits == y.Bits && x.BitOffset == y.BitOffset &&
				x.Static == y.Static && slices.Equal(x.Tags, y.Tags)
		})
}
