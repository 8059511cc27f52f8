package ctype

import "math/bits"

// This file knows where C puts the members of a struct if a program says nothing
// about it: each behind the one before, aligned to its size. Text leaves such places
// out; see [Writer].Natural.

// alignments are those of types in bytes, each found once.
type alignments map[*Shape]int

// maxAlign is the largest alignment of a type that C has without attributes, that
// of __int128.
const maxAlign = 16

// of returns the alignment of a type whose contents were checked.
func (a alignments) of(s *Shape) int {
	if s == nil {
		return 1
	}
	if known := a[s]; known > 0 {
		return known
	}
	a[s] = 1 // of what contains itself, too
	align := 1
	switch s.Kind {
	case KindTypedef, KindArray:
		align = a.of(s.Elem)
	case KindStruct, KindUnion, KindSection:
		if align = a.ofMembers(s); a.isPacked(s) {
			align = 1
		}
	default:
		if bits.OnesCount(uint(s.Size)) == 1 {
			align = min(s.Size, maxAlign)
		}
	}
	a[s] = align
	return align
}

// ofMembers is the alignment of a struct that has padding.
func (a alignments) ofMembers(s *Shape) int {
	align := 1
	for i := range s.Members {
		align = max(align, a.of(s.Members[i].Type))
	}
	return align
}

// isPacked tells whether a struct is as C lays it out with the attribute packed, and
// not as it does without.
func (a alignments) isPacked(s *Shape) bool {
	return s.Kind == KindStruct && !a.fits(s, false) && a.fits(s, true)
}

// fits tells whether all members are where C puts them.
func (a alignments) fits(s *Shape, packed bool) bool {
	l := layout{alignments: a, kind: s.Kind, packed: packed}
	for i := range s.Members {
		if !l.fits(&s.Members[i]) {
			return false
		}
		l.add(&s.Members[i])
	}
	return l.size(s) == int64(s.Size)
}

// layout puts the members of a struct, union or section one after another.
type layout struct {
	alignments
	kind   Kind
	packed bool
	end    int64 // of the members so far, in bits
}

// place is where the next member would be.
func (l *layout) place(m *Member) (offset int64, bit uint8) {
	align := 8 * int64(l.of(m.Type))
	switch {
	case l.kind == KindUnion:
		return 0, 0
	case l.packed && m.Bits > 0:
		return l.end / 8, uint8(l.end % 8)
	case l.packed:
		return alignUp(l.end, 8) / 8, 0
	case m.Bits == 0:
		return alignUp(l.end, align) / 8, 0
	}
	at := l.end
	if room := 8 * int64(m.Type.Size); room > 0 && at%room+int64(m.Bits) > room {
		at = alignUp(at, align)
	}
	return at / 8, uint8(at % 8)
}

// fits tells whether a member is at the next place.
func (l *layout) fits(m *Member) bool {
	offset, bit := l.place(m)
	return offset == int64(m.Offset) && bit == m.BitOffset
}

// add notes a member whose place is known.
func (l *layout) add(m *Member) {
	end := 8*int64(m.Offset) + int64(m.BitOffset) + int64(m.Bits)
	if m.Bits == 0 {
		end = 8 * (int64(m.Offset) + int64(m.Width()))
	}
	l.end = max(l.end, end)
}

// size is that of a struct, union or section with the members so far.
func (l *layout) size(s *Shape) int64 {
	if s.Kind == KindSection || l.packed {
		return (l.end + 7) / 8
	}
	return alignUp(l.end, 8*int64(l.ofMembers(s))) / 8
}

func alignUp(n, align int64) int64 { return (n + align - 1) / align * align }
