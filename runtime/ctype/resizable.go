package ctype

import "strings"

// Resizable returns the number of the variable of a section that a loader can make
// as long as it likes (bpf_map__set_value_size of libbpf): the last one, if it is an
// array. The guest's BTF says how long it is there.
func (s *Shape) Resizable() (i int, ok bool) {
	i = len(s.Members) - 1
	if s.Kind != KindSection || i < 0 || s.Cut || isFixedSection(s.Name) {
		return 0, false
	}
	m := &s.Members[i]
	u := m.Type.Underlying()
	if u == nil || u.Kind != KindArray || u.Len == 0 || u.Elem.Size == 0 {
		return 0, false
	}
	_, _, isGraph := m.Contains()
	return i, !isGraph && s.endsIn(i) && !s.goesOnBehind(i)
}

// goesOnBehind tells whether there is more in a section behind a variable than
// padding: compilers keep constants there that BTF does not list.
func (s *Shape) goesOnBehind(i int) bool {
	m := &s.Members[i]
	return int64(s.Size)-int64(m.Offset)-int64(m.Width()) >= PointerSize
}

// isFixedSection tells whether the variables of a section have no map of their own,
// or one that is the loader's.
func isFixedSection(name string) bool {
	return name == ".kconfig" || IsArenaSection(name) || strings.HasPrefix(name, ".arena")
}

// Lengthened returns a section whose resizable variable has n elements, if those
// are more than it has.
func (s *Shape) Lengthened(n int) *Shape {
	i, ok := s.Resizable()
	if !ok || n <= s.Members[i].Type.Underlying().Len {
		return s
	}
	return s.withElements(i, n)
}

// Sized returns a section as it is where a loader has made it that many bytes. Its
// resizable variable has the elements that there is room for, and a last one that is
// open-ended goes on to the end. A section without such a variable, or without room for
// an element, stays what it is.
func (s *Shape) Sized(size int) *Shape {
	if size == s.Size {
		return s
	}
	if i, ok := s.Resizable(); ok {
		m := &s.Members[i]
		if n := (size - m.Offset) / m.Type.Underlying().Elem.Size; n > 0 {
			return s.withElements(i, n)
		}
		return s
	}
	i := len(s.Members) - 1
	if i < 0 || size < s.Size || !s.Members[i].Type.OpenEnded() || !s.endsIn(i) || s.goesOnBehind(i) {
		return s
	}
	long := *s
	long.Members = append([]Member(nil), s.Members...)
	long.Members[i].Size = size - long.Members[i].Offset
	long.Size = size
	return &long
}

// withElements returns a section whose variable i is an array of n elements.
func (s *Shape) withElements(i, n int) *Shape {
	elem := s.Members[i].Type.Underlying().Elem
	other := *s
	other.Members = append([]Member(nil), s.Members...)
	other.Members[i].Type = &Shape{Kind: KindArray, Elem: elem, Len: n, Size: n * elem.Size}
	other.Size = other.Members[i].Offset + n*elem.Size
	return &other
}

// IsArenaSection tells whether a section holds variables of an arena: clang
// calls it after their address space.
func IsArenaSection(name string) bool { return strings.HasPrefix(name, ".addr_space.") }
