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

// valueID is a value in the table of an analysis. States are kept for each
// block, and few of their values differ, so that they keep numbers. The zero
// valueID is bottom.
type valueID int32

// values numbers values, and remembers how they are joined.
type values struct {
	all    []value
	ids    map[value]valueID
	joins  map[[2]valueID]valueID
	rounds map[[2]valueID]valueID
	widens map[[2]valueID]valueID
	meet   func(a, b value) value
	last   valueID // that was asked for: often it is the next one, too
}

func newValues(meet func(a, b value) value) *values {
	return &values{
		meet:   meet,
		all:    []value{{}},
		ids:    map[value]valueID{{}: 0},
		joins:  make(map[[2]valueID]valueID),
		rounds: make(map[[2]valueID]valueID),
		widens: make(map[[2]valueID]valueID),
	}
}

func (t *values) id(v value) valueID {
	if t.all[t.last] == v {
		return t.last
	}
	id, ok := t.ids[v]
	if !ok {
		id = valueID(len(t.all))
		t.ids[v] = id
		t.all = append(t.all, v)
	}
	t.last = id
	return id
}

// combine merges two values in one of several ways.
type combine func(a, b valueID) valueID

func (t *values) join(a, b valueID) valueID {
	switch {
	case a == b || b == 0:
		return a
	case a == 0:
		return b
	}
	return t.once(t.joins, min(a, b), max(a, b), (*values).findJoin)
}

// once is what a way to combine two values comes to, which is found out once.
func (t *values) once(known map[[2]valueID]valueID, a, b valueID, find func(t *values, a, b valueID) valueID) valueID {
	key := [2]valueID{a, b}
	id, ok := known[key]
	if !ok {
		id = find(t, a, b)
		known[key] = id
	}
	return id
}

func (t *values) findJoin(a, b valueID) valueID { return t.id(t.meet(t.all[a], t.all[b])) }

// around is join, for the head of a loop: numbers that it counts are not kept apart.
func (t *values) around(a, b valueID) valueID {
	if a == b || b == 0 || a == 0 {
		return t.join(a, b)
	}
	return t.once(t.rounds, a, b, (*values).findAround)
}

func (t *values) findAround(a, b valueID) valueID {
	id := t.join(a, b)
	v := t.all[id]
	if id == a || v.num.steps == 0 {
		return id
	}
	v.num = v.num.class()
	return t.id(v)
}

// widen is join, for the head of a loop that has been around often enough:
// what still changes is not followed any further.
func (t *values) widen(a, b valueID) valueID {
	if a == b || b == 0 {
		return a
	}
	return t.once(t.widens, a, b, (*values).findWidened)
}

func (t *values) findWidened(a, b valueID) valueID {
	id := t.join(a, b)
	if id == a {
		return id
	}
	return t.id(widened(t.all[id]))
}

// apart is join without pointers that meet: what differs is opaque.
func (t *values) apart(a, b valueID) valueID {
	if a == b {
		return a
	}
	return t.id(opaque())
}

// state is what is known at an instruction: registers, and the 8-byte slots
// of the function's stack frame and of those callers' frames that it has
// pointers into. Slots that are not listed were not written.
type state struct {
	regs  [numRegs]valueID
	stack []stackSlot // ordered by frame and offset; shared between states, never changed in place
}

type stackSlot struct {
	frame int32
	off   int32 // bytes from the frame's end, negative, a multiple of 8
	value valueID
}

func (s stackSlot) compare(t stackSlot) int {
	if s.frame != t.frame {
		return cmp.Compare(s.frame, t.frame)
	}
	return cmp.Compare(s.off, t.off)
}

// merge makes s what is known where both states can reach, and tells whether
// that changed it. A slot that one of them does not list is what the other one says:
// reading what was not written is no program's way.
func (s *state) merge(t *state, how combine) (changed bool) {
	for i := range s.regs {
		if s.regs[i] == t.regs[i] {
			continue
		}
		if v := how(s.regs[i], t.regs[i]); v != s.regs[i] {
			s.regs[i], changed = v, true
		}
	}
	return s.mergeStack(t, how) || changed
}

func (s *state) mergeStack(t *state, how combine) (changed bool) {
	if len(t.stack) == 0 || isSame(s.stack, t.stack) || slices.Equal(s.stack, t.stack) {
		return false
	}
	from, next := s.unchangedBy(t, how)
	if from == len(t.stack) {
		return false
	}
	stack := make([]stackSlot, next, max(len(s.stack), len(t.stack)))
	copy(stack, s.stack)
	for _, b := range t.stack[from:] {
		for next < len(s.stack) && s.stack[next].compare(b) < 0 {
			stack, next = append(stack, s.stack[next]), next+1
		}
		if next == len(s.stack) || s.stack[next].compare(b) != 0 {
			stack, changed = append(stack, b), true
			continue
		}
		a := s.stack[next]
		next++
		if joined := how(a.value, b.value); joined != a.value {
			a.value, changed = joined, true
		}
		stack = append(stack, a)
	}
	if changed {
		s.stack = append(stack, s.stack[next:]...)
	}
	return changed
}

// unchangedBy returns how many slots of t's stack change nothing of s, from the first on,
// and how many of s are in front of the next one.
func (s *state) unchangedBy(t *state, how combine) (same, next int) {
	for i, b := range t.stack {
		for next < len(s.stack) && s.stack[next].compare(b) < 0 {
			next++
		}
		if next == len(s.stack) || s.stack[next].compare(b) != 0 {
			return i, next
		}
		if a := s.stack[next].value; a != b.value && how(a, b.value) != a {
			return i, next
		}
		next++
	}
	return len(t.stack), next
}

// frames is the stack that a function works on.
type frames []stackSlot

func (s frames) find(frame int, off int64) (i int, found bool) {
	return slices.BinarySearchFunc(s, stackSlot{frame: int32(frame), off: int32(off)}, stackSlot.compare)
}

// with is the stack with a slot written: another one also if that held v already, as what
// is known of the old one does not hold for what was written.
func (s frames) with(frame int, off int64, v valueID) frames {
	i, found := s.find(frame, off)
	stack := make(frames, len(s), len(s)+1)
	copy(stack, s)
	if found {
		stack[i].value = v
		return stack
	}
	return slices.Insert(stack, i, stackSlot{int32(frame), int32(off), v})
}

// without is the stack with the slots that overlap [from, to) of a frame
// overwritten by what cannot be followed.
func (s frames) without(frame int, from, to int64, unknown valueID) frames {
	first, end := max(from, -stackSize), min(to, 0)
	first -= mod(first, slotSize)
	if first >= end {
		return s
	}
	at, _ := s.find(frame, first)
	stack := slices.Grow(slices.Clone(s[:at]), int(end-first)/slotSize+1+len(s)-at)
	for off := first; off < end; off += slotSize {
		stack = append(stack, stackSlot{int32(frame), int32(off), unknown})
	}
	past, _ := s.find(frame, end)
	return append(stack, s[past:]...)
}
