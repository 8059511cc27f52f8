package ctype

import (
	"cmp"
	"math"
)

// This file says how far values go that are larger than their type. Such a value
// ends in a flexible array: a global that initialises it, the value of a map, an
// object that was allocated with room for it.

// IsFlexible tells whether s is an array without a length of its own.
func (s *Shape) IsFlexible() bool {
	u := s.Underlying()
	return u != nil && u.Kind == KindArray && u.Len == 0 && u.Elem != nil && u.Elem.Size > 0
}

// OpenEnded tells whether values of s can go on behind its size: if it is a
// flexible array, a struct that ends in one, or a union that has one.
func (s *Shape) OpenEnded() bool {
	left := maxTailSteps
	return s.openEnded(&left)
}

// maxTailSteps bounds the types that are looked at to find out whether one is
// open-ended: unions can nest one another many times in few bytes of BTF.
const maxTailSteps = 1 << 12

func (s *Shape) openEnded(left *int) bool {
	if *left--; *left < 0 {
		return false
	}
	u := s.Underlying()
	if u == nil || len(u.Members) == 0 {
		return s.IsFlexible()
	}
	switch u.Kind {
	case KindStruct:
		last := &u.Members[len(u.Members)-1]
		return last.Type.openEnded(left) && u.endsIn(len(u.Members)-1)
	case KindUnion:
		for i := range u.Members {
			if u.Members[i].Type.openEnded(left) {
				return true
			}
		}
	}
	return false
}

// endsIn tells whether member i of a struct or section is behind all others.
func (s *Shape) endsIn(i int) bool {
	if i != len(s.Members)-1 {
		return false
	}
	for j := range s.Members {
		if other := &s.Members[j]; i != j && int64(other.Offset)+int64(other.Width()) > int64(s.Members[i].Offset) {
			return false
		}
	}
	return true
}

// OpenEnd is where the room of a member ends that goes on to the end of the value,
// however large that is.
const OpenEnd = math.MaxInt

// room is where the room of member i of s ends, if s has room up to end: members
// of a union have all of it, of a struct the last one. offset is where s begins.
func (s *Shape) room(i, offset, end int) int {
	m := &s.Members[i]
	if s.Kind == KindUnion || s.Kind == KindStruct && s.endsIn(i) {
		return end
	}
	return offset + m.Offset + m.Width()
}

// Tail tells whether a member has no size of its own, but goes on as far as there is
// room: a flexible array, or a struct or union that ends in one. It is asked of
// members that [Shape.Fields] returns. end is where the room ends, in bytes from the
// start of the struct, and 0 if that is the end of the value.
func (m *Member) Tail() (end int, ok bool) {
	if m.End == OpenEnd {
		return 0, true
	}
	return m.End, m.End > 0
}

// Whole returns a member that is all of a value of type s.
func Whole(s *Shape) Member {
	m := Member{Type: s}
	if s != nil && s.OpenEnded() {
		m.End = OpenEnd
	}
	return m
}

// Within returns m, a member of the struct or union that outer is, as a member of
// what outer is a member of. Both are what [Shape.Fields] returned.
func (m Member) Within(outer *Member) Member {
	room := max(outer.Offset+outer.Width(), outer.End)
	if m.End == OpenEnd {
		m.End = room
	} else if m.End > 0 {
		m.End = min(outer.Offset+m.End, room)
	}
	m.Offset += outer.Offset
	return m
}

// Bytes returns the bytes of a member that [Shape.Fields] returned, in those of a
// value that has it, for a bitfield those that hold it.
func (m *Member) Bytes(b []byte) []byte {
	end := m.EndIn(len(b))
	return b[m.Offset:end:end]
}

// EndIn is where a member ends in a value of n bytes.
func (m *Member) EndIn(n int) int { return max(m.Offset+m.Width(), min(m.End, n)) }

// Extent is how many of the bytes at a value of type s belong to it: all of
// them if it is open-ended.
func (s *Shape) Extent(b []byte) int {
	if s.OpenEnded() {
		return len(b)
	}
	return s.Size
}

// RoomAt returns how many bytes a value of type t has that begins offset bytes into
// one of type s, which has n bytes. Where no t is known to begin, it is the room of what
// does: of a variable that the program takes for a t, or of the rest of an array of
// numbers. It is 0 if nothing begins there.
func (s *Shape) RoomAt(t *Shape, offset, n int) int {
	w := roomWalk{want: t.Stripped(), left: maxTailSteps}
	w.look(s, offset, n)
	return cmp.Or(w.same, w.other)
}

// roomWalk finds what begins at a place.
type roomWalk struct {
	want        *Shape
	same, other int // bytes of the largest one of type want, and of any other type
	left        int // steps
}

// isWanted says whether a type is the one whose room is looked for.
func (w *roomWalk) isWanted(u *Shape) bool {
	return u == w.want || u.Name != "" && u.Kind == w.want.Kind && u.Name == w.want.Name && u.Size == w.want.Size
}

func (w *roomWalk) look(s *Shape, offset, n int) {
	u := s.Underlying()
	if w.left--; u == nil || w.left < 0 || offset < 0 || offset >= n {
		return
	}
	if offset == 0 && u.Kind != KindSection {
		w.other = max(w.other, n)
		if w.isWanted(u) {
			w.same = max(w.same, n)
			return
		}
	}
	switch u.Kind {
	case KindArray:
		w.lookAtElement(u, offset, n)
	case KindStruct, KindUnion, KindSection:
		for i := range u.Members {
			m := &u.Members[i]
			if m.Bits == 0 && m.Type != nil {
				w.look(m.Type, offset-m.Offset, min(u.room(i, 0, n), n)-m.Offset)
			}
		}
	}
}

func (w *roomWalk) lookAtElement(array *Shape, offset, n int) {
	elem := array.Elem
	switch u := elem.Underlying(); {
	case u == nil || elem.Size <= 0:
	case u.Kind == KindInt || u.Kind == KindChar:
		w.other = max(w.other, n-offset)
	default:
		i := offset / elem.Size
		w.look(elem, offset%elem.Size, min(elem.Size, n-i*elem.Size))
	}
}
