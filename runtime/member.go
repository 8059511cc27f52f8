package runtime

// Fields returns the members of a struct, union or section as C names them:
// those of anonymous members take the place of the anonymous member, at their
// offset from the start of s. Generated structs have one field for each, in
// this order.
func (s *Shape) Fields() []Member {
	fields, _ := s.fieldsUpTo(maxFields)
	return fields
}

// fieldsUpTo is Fields for at most n members, those that have a name or not; ok is
// false if s has more.
func (s *Shape) fieldsUpTo(n int) (fields []Member, ok bool) {
	w := fieldWalk{left: n}
	w.walk(s, 0, openEnd, maxNesting)
	return w.fields, w.left >= 0
}

// maxFields bounds the members that Fields looks at: anonymous structs of no
// size can nest without end in few bytes of BTF.
const maxFields = 1 << 20

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
			if m.end = 0; m.Bits == 0 && m.Type.OpenEnded() {
				m.end = s.room(i, offset, end)
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
// the bytes of the struct that has it, as a guest of that byte order holds it.
func (m *Member) Store(b []byte, n uint64, bigEndian bool) {
	m.intPlace(bigEndian).store(b[m.Offset:], n)
}

// extent returns the bits that a member takes, counted from the start of its
// struct.
func (m Member) extent() (first, end int) {
	first = 8*m.Offset + int(m.BitOffset)
	if m.Bits > 0 {
		return first, first + int(m.Bits)
	}
	return first, first + 8*m.Type.Size
}

// bytes is how many bytes a member touches from its offset on.
func (m Member) bytes() int {
	switch {
	case m.Bits > 0:
		return (int(m.BitOffset) + int(m.Bits) + 7) / 8
	case m.Size > 0:
		return m.Size
	}
	return m.Type.Size
}

// intPlace is where the bits of an integral member are, from its offset on.
func (m Member) intPlace(bigEndian bool) intPlace {
	p := intPlace{first: int(m.BitOffset), bits: int(m.Bits), signed: m.Type.Underlying().Signed, bigEndian: bigEndian}
	if m.Bits == 0 {
		p.first, p.bits = 0, 8*m.Type.Size
	}
	return p
}
