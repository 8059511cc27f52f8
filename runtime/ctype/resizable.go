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
	elem := s.Members[i].Type.Underlying().Elem
	long := *s
	long.Members = append([]Member(nil), s.Members...)
	long.Members[i].Type = &Shape{Kind: KindArray, Elem: elem, Len: n, Size: n * elem.Size}
	long.Size = long.Members[i].Offset + n*elem.Size
	return &long
}

// IsArenaSection tells whether a section holds variables of an arena: clang
// calls it after their address space.
func IsArenaSection(name string) bool { return strings.HasPrefix(name, ".addr_space.") }
