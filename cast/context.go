package cast

import (
	"encoding/binary"
)

// callContext is one way in which a function is called, and what that does.
// Telling calls apart by what they pass is what makes put(u64 *d, u64 v) mean
// something else at each of its calls.
type callContext struct {
	entry *state
	exit  *state // registers and callers' frames at the exits; nil until one is reached
	done  bool   // in this pass
	open  bool   // being analysed
}

// call analyses f, entered with s, and returns the state at its exits: r0 is
// the result, and the frames are those of s, changed as the function does. It
// is nil if no exit is reached, or none is known yet.
func (e *engine) call(f *function, s *state, depth int) *state {
	if depth > maxCalls {
		e.giveUp("%s: calls are nested more than %d deep", f.Name, maxCalls)
		return nil
	}
	c := e.context(f, s)
	if c.done || c.open {
		return c.exit
	}
	c.open = true
	w := walk{engine: e, fn: f, depth: depth}
	exit := w.run(c.entry)
	c.open, c.done = false, true
	switch {
	case exit == nil:
	case c.exit == nil:
		c.exit, e.changed = exit, true
	default:
		e.changed = c.exit.join(exit) || e.changed
	}
	return c.exit
}

// context returns the context of f for an entry state. Beyond maxContexts,
// what remains shares one.
func (e *engine) context(f *function, s *state) *callContext {
	contexts := e.contexts[f]
	if contexts == nil {
		contexts = make(map[string]*callContext)
		e.contexts[f] = contexts
	}
	key := e.key(s)
	if c := contexts[key]; c != nil {
		return c
	}
	const shared = "shared"
	if len(contexts) < maxContexts {
		c := &callContext{entry: s}
		contexts[key] = c
		return c
	}
	c := contexts[shared]
	if c == nil {
		c = &callContext{entry: s}
		contexts[shared] = c
	} else if c.entry.widen(s) {
		c.done, e.changed = false, true
	}
	return c
}

// key identifies a state.
func (e *engine) key(s *state) string {
	b := make([]byte, 0, 4*5+12*len(s.stack))
	for _, v := range s.regs[1:6] {
		b = binary.LittleEndian.AppendUint32(b, uint32(e.number(v)))
	}
	for _, slot := range s.stack {
		b = binary.LittleEndian.AppendUint16(b, uint16(slot.frame))
		b = binary.LittleEndian.AppendUint16(b, uint16(slot.off))
		b = binary.LittleEndian.AppendUint32(b, uint32(e.number(slot.value)))
	}
	return string(b)
}

func (e *engine) number(v value) int32 {
	n, ok := e.values[v]
	if !ok {
		n = int32(len(e.values))
		e.values[v] = n
	}
	return n
}
