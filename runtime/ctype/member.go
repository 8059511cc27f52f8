package ctype

// Fields returns the members of a struct, union or section as C names them:
// those of anonymous members take the place of the anonymous member, at their
// offset from the start of s. Generated structs have one field for each, in
// this order.
func (s *Shape) Fields() []Member {
	fields, _ := s.FieldsUpTo(MaxFields)
	return fields
}

// FieldsUpTo is Fields for at most n members, those that have a name or not; ok is
// false if s has more.
func (s *Shape) FieldsUpTo(n int) (fields []Member, ok bool) {
	w := fieldWalk{left: n}
	w.walk(s, 0, OpenEnd, MaxNesting)
	return w.fields, w.left >= 0
}

// MaxFields bounds the members that Fields looks at: anonymous structs of no
// size can nest without end in few bytes of BTF.
const MaxFields = 1 << 20

type fieldWalk struct {
	fields []Member
	left   int
}

// walk adds the members of s, which begins at offset and has room up to end.
func (w *fieldWalk) walk(s *Shape, offset, end, depth int) {
	for i, m := range s.Members {
		if w.left--; w.left < 0 {
			return
		}
		m.Offset += offset
		switch {
		case isAnonymous(m) && depth > 0:
			w.walk(m.Type.Underlying(), m.Offset, s.room(i, offset, end), depth-1)
		case m.Name != "":
			if m.End = 0; m.Bits == 0 && m.Type.OpenEnded() {
				m.End = s.room(i, offset, end)
			}
			w.fields = append(w.fields, m)
		}
	}
}

// isAnonymous tells whether m is an anonymous struct or union.
func isAnonymous(m Member) bool {
	if m.Name != "" {
		return false
	}
	u := m.Type.Underlying()
	return u != nil && (u.Kind == KindStruct || u.Kind == KindUnion)
}

// Store writes a number where m, an integer or a bitfield of up to 64 bits, is in
// the bytes of the struct that has it.
func (m *Member) Store(b []byte, n uint64) {
	m.IntPlace().Store(b[m.Offset:], n)
}

// BitExtent returns the bits that a member takes, counted from the start of its
// struct.
func (m Member) BitExtent() (first, end int) {
	first = 8*m.Offset + int(m.BitOffset)
	if m.Bits > 0 {
		return first, first + int(m.Bits)
	}
	return first, first + 8*m.Type.Size
}

// Width is how many bytes a member touches from its offset on.
func (m Member) Width() int {
	switch {
	case m.Bits > 0:
		return (int(m.BitOffset) + int(m.Bits) + 7) / 8
	case m.Size > 0:
		return m.Size
	}
	return m.Type.Size
}

// IntPlace is where the bits of an integral member are, from its offset on.
func (m Member) IntPlace() IntPlace {
	p := IntPlace{First: int(m.BitOffset), Bits: int(m.Bits), Signed: m.Type.Underlying().Signed}
	if m.Bits == 0 {
		p.First, p.Bits = 0, 8*m.Type.Size
	}
	return p
}
