package runtime

import (
	"encoding/binary"
	"fmt"
	"iter"

	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// Slots reads an array whose slots hold objects of the kernel, which a program puts there by
// file descriptors or numbers of devices. What is in a slot is told by
//
//	programs, perf events   the id
//	cgroups, sockets        the inode number; of a socket that never had a file descriptor 1<<32 - 1
//	devices (DEVMAP)        the interface's index
//	CPUs (CPUMAP)           the size of the CPU's queue
type Slots struct {
	m       *boundMap
	partial bool
}

// NewSlots returns the array with index i in the layout.
func NewSlots(b *Binding, i int) Slots {
	m := b.readable(i)
	if m.N > 0 && m.Size < ktsnap.SlotSize {
		m.fail("read", fmt.Errorf("its values have %d bytes, and the numbers of what is in its slots %d", m.Size, ktsnap.SlotSize))
	}
	return Slots{m: m}
}

// Len returns the number of slots.
func (s Slots) Len() int {
	s.whole("Len")
	return s.m.N
}

// ID returns the number of what is in slot i. ok is false if the slot is empty. It
// fails if there is no such slot.
func (s Slots) ID(i int) (id uint32, ok bool) {
	if i < 0 || i >= s.m.N {
		s.m.failIndex("ID", i, 0)
		return 0, false
	}
	raw, _, readable := s.m.Value(i, 0)
	if !readable {
		s.m.failUnreadable("ID", i, 0)
		return 0, false
	}
	id = binary.LittleEndian.Uint32(raw)
	return id, id != 0
}

// All ranges over the occupied slots and the numbers of what is in them.
func (s Slots) All() iter.Seq2[int, uint32] {
	return func(yield func(int, uint32) bool) {
		s.whole("All")
		for i := range s.m.N {
			if id, occupied := s.ID(i); occupied && !yield(i, id) {
				return
			}
		}
	}
}

// Partial returns the array with the entries that were captured, for one that was captured in
// part. Without it, reads that need all entries fail with a [*ktsnap.IncompleteError].
func (s Slots) Partial() Slots {
	s.partial = true
	return s
}

func (s Slots) whole(op string) {
	if !s.partial {
		s.m.require(op)
	}
}
