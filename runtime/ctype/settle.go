package ctype

import (
	"errors"
	"fmt"
)

// This file checks that shapes are consistent, and computes the sizes and places
// that follow from others: those of arrays and typedefs, and what text leaves out of
// structs.

// MaxNesting bounds how deep types contain one another by value, as package btf
// does. What contains nothing is not counted.
const MaxNesting = 64

// Settler checks shapes, each once. The zero value has checked none.
type Settler struct {
	height map[*Shape]int // how many types one contains, itself included
	fill   bool           // compute sizes that follow from others; else compare
	aligns alignments
	packed map[*Shape]bool // structs that have no padding
}

// underway is the height of a shape whose contents are being checked.
const underway = -1

// Settle checks s and everything it contains by value. It fails if s contains
// itself, or if what it contains does not lie within it.
func (t *Settler) Settle(s *Shape) error { return t.settleWithin(s, MaxNesting+1) }

func (t *Settler) settleWithin(s *Shape, depth int) error {
	if s == nil {
		return errors.New("a type is missing")
	}
	switch height := t.height[s]; {
	case height == underway:
		return errors.New("a type contains itself")
	case height > depth || depth == 0:
		return fmt.Errorf("types are nested more than %d deep", MaxNesting)
	case height > 0:
		return nil
	}
	if t.height == nil {
		t.height = make(map[*Shape]int)
	}
	t.height[s] = underway
	height, err := t.settleContents(s, depth-1)
	if err != nil {
		delete(t.height, s)
		return err
	}
	t.height[s] = height + 1
	return nil
}

// settleContents checks what s contains and returns the height of that.
func (t *Settler) settleContents(s *Shape, depth int) (height int, err error) {
	switch s.Kind {
	case KindTypedef:
		if err := t.settleWithin(s.Elem, depth); err != nil {
			return 0, err
		}
		return t.height[s.Elem], t.size(s, s.Elem.Size)
	case KindArray:
		if err := t.settleWithin(s.Elem, depth); err != nil {
			return 0, err
		}
		return t.height[s.Elem], t.array(s)
	case KindStruct, KindUnion, KindSection:
		return t.members(s, depth)
	case KindPointer:
		if s.Elem == nil || s.Size < 1 || s.Size > PointerSize {
			return 0, fmt.Errorf("a pointer of %d bytes", s.Size)
		}
	}
	return 0, checkScalar(s)
}

func (t *Settler) members(s *Shape, depth int) (height int, err error) {
	for _, m := range s.Members {
		if err := t.settleWithin(m.Type, depth); err != nil {
			return 0, err
		}
		height = max(height, t.height[m.Type])
	}
	if t.fill {
		t.layOut(s)
	}
	if s.Size == unsettled && t.fill {
		return 0, fmt.Errorf("%s has more than %d bytes", s.Name, maxShapeSize)
	}
	if s.Size < 0 || int64(s.Size) > maxShapeSize {
		return 0, fmt.Errorf("%s has %d bytes", s.Name, s.Size)
	}
	for _, m := range s.Members {
		if err := checkPlace(s, m); err != nil {
			return 0, fmt.Errorf("%s.%s: %w", s.Name, m.Name, err)
		}
	}
	return height, nil
}

func (t *Settler) pack(s *Shape) {
	if t.packed == nil {
		t.packed = make(map[*Shape]bool)
	}
	t.packed[s] = true
}

// layOut computes the places of members that the text leaves out, and the size.
func (t *Settler) layOut(s *Shape) {
	if t.aligns == nil {
		t.aligns = make(alignments)
	}
	l := layout{alignments: t.aligns, kind: s.Kind, packed: t.packed[s]}
	for i := range s.Members {
		m := &s.Members[i]
		if m.Offset == unsettled {
			offset, bit := l.place(m)
			m.Offset, m.BitOffset = int(min(offset, maxShapeSize)), bit
		}
		l.add(m)
	}
	if size := l.size(s); s.Size == unsettled && size <= maxShapeSize {
		s.Size = int(size)
	}
}

func (t *Settler) array(s *Shape) error {
	if s.Len < 0 || s.Len > 0 && !HasSize(s.Elem) {
		return errors.New("the elements of an array have no size")
	}
	if s.Elem.Size > 0 && int64(s.Len) > maxShapeSize/int64(s.Elem.Size) {
		return fmt.Errorf("an array of %d elements of %d bytes is too large", s.Len, s.Elem.Size)
	}
	return t.size(s, s.Elem.Size*s.Len)
}

// size sets or checks the size of s in bytes.
func (t *Settler) size(s *Shape, size int) error {
	if t.fill {
		s.Size = size
	}
	if s.Size != size {
		return fmt.Errorf("%d bytes are said to be %d", size, s.Size)
	}
	return nil
}

// checkPlace checks that a member lies within s.
func checkPlace(s *Shape, m Member) error {
	size := m.Type.Size
	if m.Size != 0 {
		if s.Kind != KindSection || m.Size < size || m.Bits > 0 || !m.Type.OpenEnded() {
			return fmt.Errorf("it takes %d bytes, and its type has %d", m.Size, size)
		}
		size = m.Size
	}
	if m.Bits > 0 {
		if !IsIntegral(m.Type) {
			return errors.New("a bitfield that is no integer")
		}
		if int(m.Bits) > 8*size || m.Bits > 64 || m.BitOffset > 7 {
			return fmt.Errorf("a bitfield of %d bits in %d bytes", m.Bits, size)
		}
		size = m.Width()
	}
	if m.Offset < 0 || int64(m.Offset)+int64(size) > int64(s.Size) {
		return fmt.Errorf("ends at byte %d of %d", int64(m.Offset)+int64(size), s.Size)
	}
	if !HasSize(m.Type) {
		return errors.New("its type has no size")
	}
	return nil
}

// IsIntegral tells whether values of a type are whole numbers, which bitfields can be of.
func IsIntegral(s *Shape) bool {
	u := s.Underlying()
	return u != nil && (u.Kind == KindInt || u.Kind == KindBool || u.Kind == KindEnum || u.Kind == KindChar)
}

// HasSize tells whether there can be values of a type.
func HasSize(s *Shape) bool {
	u := s.Underlying()
	return u != nil && u.Kind != KindVoid && u.Kind != KindFunc && u.Kind != KindFwd
}
