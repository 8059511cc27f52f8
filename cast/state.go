package cast

import (
	"cmp"
	"slices"
)

const (
	numRegs   = 11
	stackSize = 512 // bytes of a frame
	slotSize  = 8   // bytes of a stack slot
)

// state is what is known at an instruction: registers, and the 8-byte slots
// of the function's stack frame and of those callers' frames that it has
// pointers into. Slots that are not listed are opaque.
type state struct {
	regs  [numRegs]value
	stack []stackSlot // ordered by frame and offset; shared between states, never changed in place
}

type stackSlot struct {
	frame int
	off   int64 // bytes from the frame's end, negative, a multiple of 8
	value value
}

func (s stackSlot) compare(t stackSlot) int {
	return cmp.Or(cmp.Compare(s.frame, t.frame), cmp.Compare(s.off, t.off))
}

// join makes s what is known where both states can reach, and tells whether
// that changed it. A slot that one of them does not know stays unknown.
func (s *state) join(t *state) (changed bool) { return s.merge(t, value.join) }

// widen is join, for the head of a loop that has been around often enough:
// what still changes is not followed any further.
func (s *state) widen(t *state) (changed bool) {
	return s.merge(t, func(v, w value) value {
		joined := v.join(w)
		if joined == v {
			return v
		}
		return widened(joined)
	})
}

// mergeApart is join without pointers that meet: what differs is opaque.
func (s *state) mergeApart(t *state) (changed bool) {
	return s.merge(t, func(v, w value) value {
		if v == w {
			return v
		}
		return opaque()
	})
}

func (s *state) merge(t *state, join func(v, w value) value) (changed bool) {
	for i := range s.regs {
		if s.regs[i] == t.regs[i] {
			continue
		}
		if v := join(s.regs[i], t.regs[i]); v != s.regs[i] {
			s.regs[i], changed = v, true
		}
	}
	return s.mergeStack(t, join) || changed
}

func (s *state) mergeStack(t *state, join func(v, w value) value) (changed bool) {
	if len(s.stack) == 0 || len(s.stack) == len(t.stack) && &s.stack[0] == &t.stack[0] {
		return false
	}
	stack := make([]stackSlot, 0, len(s.stack))
	for _, a := range s.stack {
		v, ok := t.slot(a.frame, a.off)
		if !ok {
			changed = true
			continue
		}
		if v != a.value {
			joined := join(a.value, v)
			changed = changed || joined != a.value
			a.value = joined
		}
		stack = append(stack, a)
	}
	if changed {
		s.stack = stack
	}
	return changed
}

func (s *state) find(frame int, off int64) (i int, found bool) {
	return slices.BinarySearchFunc(s.stack, stackSlot{frame: frame, off: off}, stackSlot.compare)
}

func (s *state) slot(frame int, off int64) (value, bool) {
	i, found := s.find(frame, off)
	if !found {
		return value{}, false
	}
	return s.stack[i].value, true
}

// set writes a slot.
func (s *state) set(frame int, off int64, v value) {
	i, found := s.find(frame, off)
	stack := slices.Clone(s.stack)
	if found {
		stack[i].value = v
	} else {
		stack = slices.Insert(stack, i, stackSlot{frame, off, v})
	}
	s.stack = stack
}

// forget makes the slots that overlap [from, to) of a frame opaque.
func (s *state) forget(frame int, from, to int64) {
	s.stack = slices.DeleteFunc(slices.Clone(s.stack), func(slot stackSlot) bool {
		return slot.frame == frame && slot.off < to && slot.off+slotSize > from
	})
}
