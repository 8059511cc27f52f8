package runtime

import (
	"fmt"
	"iter"
)

// Slots reads an array of programs or maps: the ids of those in its slots.
type Slots struct {
	m       *boundMap
	partial bool
}

// NewSlots returns the array of programs or maps with index i in the layout.
func NewSlots(b *Binding, i int) Slots {
	m := b.readable(i)
	if m.n > 0 && m.size != slotSize {
		m.fail("read", fmt.Errorf("its values have %d bytes, and ids %d", m.size, slotSize))
	}
	return Slots{m: m}
}

// slotSize is the size of the id of a program or map, in bytes.
const slotSize = 4

// Len returns the number of slots.
func (s Slots) Len() int {
	s.whole("Len")
	return s.m.n
}

// ID returns the id of the program or map in slot i. ok is false if the slot
// is empty. It fails if there is no such slot.
func (s Slots) ID(i int) (id uint32, ok bool) {
	if i < 0 || i >= s.m.n {
		s.m.failIndex("ID", i, 0)
		return 0, false
	}
	raw, _, readable := s.m.value(i, 0)
	if !readable {
		s.m.failUnreadable("ID", i, 0)
		return 0, false
	}
	id = s.m.order().Uint32(raw)
	return id, id != 0
}

// All ranges over the occupied slots and the ids in them.
func (s Slots) All() iter.Seq2[int, uint32] {
	return func(yield func(int, uint32) bool) {
		s.whole("All")
		for i := range s.m.n {
			if id, occupied := s.ID(i); occupied && !yield(i, id) {
				return
			}
		}
	}
}

// Partial returns the array for reading what was captured of it, where its
// capture is incomplete.
func (s Slots) Partial() Slots {
	s.partial = true
	return s
}

func (s Slots) whole(op string) {
	if !s.partial {
		s.m.require(op)
	}
}
