package cast

import (
	"encoding/binary"
)

// callContext is one way in which a function is called, and what that does.
// Telling calls apart by what they pass is what makes put(u64 *d, u64 v) mean
// something else at each of its calls.
type callContext struct {
	fn    *function
	entry *state
	exit  *state // registers and callers' frames at the exits; nil until one is reached
	done  bool   // in this pass
	open  bool   // being analysed

	// What the analysis depended on, at the time walked: if none of it has
	// changed since, it would come to the same.
	walked  int // 0 if it has to be analysed anyway
	exited  int // when exit changed last
	reads   map[*cell]bool
	calls   []*callContext
	called  map[*callContext]bool // calls, as a set
	outline map[trace]bool        // accesses through pointers that nothing is known of
}

// depend notes a call. The order is kept, so that all runs are alike.
func (c *callContext) depend(callee *callContext) {
	if !c.called[callee] {
		c.called[callee] = true
		c.calls = append(c.calls, callee)
	}
}

// stale tells whether an analysis may come to something else than it did.
func (c *callContext) stale() bool {
	for cell := range c.reads {
		if cell.changed > c.walked {
			return true
		}
	}
	for _, callee := range c.calls {
		if callee.exited > c.walked {
			return true
		}
	}
	return c.walked == 0
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
	if e.current != nil {
		e.current.depend(c)
	}
	if c.open {
		e.giveUp("%s: it calls itself", f.Name)
	}
	e.refresh(c, depth)
	return c.exit
}

// refresh analyses a context, unless that has been done in this pass, or comes
// to nothing new.
func (e *engine) refresh(c *callContext, depth int) {
	if c.done || c.open || depth > maxCalls {
		return
	}
	c.open = true
	if !e.recording && c.walked != 0 {
		for _, callee := range c.calls {
			e.refresh(callee, depth+1)
		}
	}
	if e.recording || c.stale() {
		e.analyze(c, depth)
	}
	c.open, c.done = false, true
}

func (e *engine) analyze(c *callContext, depth int) {
	e.clock++
	caller := e.current
	e.current = c
	c.walked, c.outline = e.clock, nil
	c.reads, c.calls, c.called = make(map[*cell]bool), nil, make(map[*callContext]bool)
	w := walk{engine: e, fn: c.fn, depth: depth}
	outer := e.walking
	e.walking = &w
	exit := w.run(c.entry)
	e.current, e.walking = caller, outer
	switch {
	case exit == nil:
		return
	case c.exit == nil:
		c.exit = exit
	case !c.exit.merge(exit, e.values.join):
		return
	}
	e.change()
	c.exited = e.clock
}

// change notes that something is known that was not, which took until now.
func (e *engine) change() {
	e.clock++
	e.changed = true
}

// context returns the context of f for an entry state. Beyond maxContexts,
// what remains shares one.
func (e *engine) context(f *function, s *state) *callContext {
	contexts := e.contexts[f]
	if contexts == nil {
		contexts = make(map[string]*callContext)
		e.contexts[f] = contexts
	}
	key := s.key()
	if c := contexts[key]; c != nil {
		return c
	}
	const shared = "shared"
	if len(contexts) < maxContexts {
		c := &callContext{fn: f, entry: s}
		contexts[key] = c
		return c
	}
	c := contexts[shared]
	if c == nil {
		c = &callContext{fn: f, entry: s}
		contexts[shared] = c
	} else if c.entry.merge(s, e.values.widen) {
		c.done, c.walked, e.changed = false, 0, true
	}
	return c
}

// key identifies a state on entry to a function.
func (s *state) key() string {
	b := make([]byte, 0, 4*5+12*len(s.stack))
	for _, v := range s.regs[1:6] {
		b = binary.LittleEndian.AppendUint32(b, uint32(v))
	}
	for _, slot := range s.stack {
		b = binary.LittleEndian.AppendUint32(b, uint32(slot.frame))
		b = binary.LittleEndian.AppendUint32(b, uint32(slot.off))
		b = binary.LittleEndian.AppendUint32(b, uint32(slot.value))
	}
	return string(b)
}

// entry is the state in which a function starts with these arguments.
func (e *engine) entry(args [5]value, stack frames) *state {
	s := &state{stack: stack}
	for i, v := range args {
		s.regs[1+i] = e.values.id(v)
	}
	s.regs[10] = e.values.id(value{ptr: pointer{state: onePointer, region: stackRegion}})
	return s
}

// opaqueArguments are arguments that nothing is known of.
func opaqueArguments() (args [5]value) {
	for i := range args {
		args[i] = opaque()
	}
	return args
}

// deeper is a stack as a callee sees it, by frames further from the function
// that is analysed, or closer with a negative number.
func (e *engine) deeper(stack frames, by int) frames {
	out := make(frames, len(stack))
	for i, slot := range stack {
		slot.frame += int32(by)
		if v := e.values.all[slot.value]; v.ptr.known() && v.ptr.region == stackRegion {
			slot.value = e.values.id(deeper(v, by))
		}
		out[i] = slot
	}
	return out
}

// deeper moves a stack pointer to a frame further from, or closer to, the
// function that is analysed.
func deeper(v value, by int) value {
	if v.ptr.known() && v.ptr.region == stackRegion {
		v.ptr.frame += by
		if v.ptr.frame < 0 {
			return opaque() // into a frame that is gone
		}
	}
	return v
}
