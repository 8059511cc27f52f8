package cast

import (
	"encoding/binary"
	"slices"
)

// callContext is one way in which a function is called, and what that does.
// Telling calls apart by what they pass is what makes put(u64 *d, u64 v) mean
// something else at each of its calls.
type callContext struct {
	fn    *function
	part  *part           // fn's
	sites [maxSites]int32 // the calls that lead here, if the function allocates
	entry *state
	exit  *state         // registers and callers' frames at the exits; nil until one is reached
	ends  [2]*state      // exit, by what is returned
	gives map[int32]bool // slots whose content is returned as it is, by number
	done  bool           // in this pass
	open  bool           // being analysed

	isGiven bool // the prototype says what it is called with, and calls say more

	// What the analysis depended on, at the time walked: if none of it has
	// changed since, it would come to the same.
	walked  int // 0 if it has to be analysed anyway
	exited  int // when exit changed last
	reads   map[*cell]bool
	fills   map[*cell]bool // that it stores in
	calls   []*callContext
	called  map[*callContext]bool // calls, as a set
	orphans map[slot]bool         // stored in through pointers that lead to no object that is known
	outline map[trace]bool        // accesses through pointers that nothing is known of

	findings findings // of the last walk
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
	for cell := range c.fills {
		if cell.reused > c.walked {
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

// call analyses f, entered with s, and returns what is known of that. At its exits r0 is
// the result, and the frames are those of s, changed as the function does. They are
// nil if no exit is reached, or none is known yet.
func (e *engine) call(f *function, s *state, depth int) *callContext {
	if depth > maxCalls {
		e.giveUp("%s: calls are nested more than %d deep", f.Name, maxCalls)
		return new(callContext)
	}
	c := e.context(f, s)
	if e.current != nil {
		e.current.depend(c)
		e.current.part.join(c.part)
	}
	if c.open {
		e.giveUp("%s: it calls itself", f.Name)
	}
	e.refresh(c, depth)
	return c
}

// refresh analyses a context, unless that has been done in this pass, or comes
// to nothing new.
func (e *engine) refresh(c *callContext, depth int) {
	if c.done || c.open || depth > maxCalls {
		return
	}
	c.open = true
	if !e.noting && c.walked != 0 {
		for _, callee := range c.calls {
			e.refresh(callee, depth+1)
		}
	}
	if e.noting || c.stale() {
		e.analyze(c, depth)
	}
	c.open, c.done = false, true
}

func (e *engine) analyze(c *callContext, depth int) {
	e.clock++
	caller := e.current
	e.current = c
	c.walked, c.outline, c.orphans = e.clock, nil, nil
	c.reads, c.fills = make(map[*cell]bool), make(map[*cell]bool)
	c.calls, c.called = nil, make(map[*callContext]bool)
	c.findings.clear()
	w := walk{engine: e, fn: c.fn, depth: depth}
	outer := e.walking
	e.walking = &w
	exit := w.run(c.entry)
	e.current, e.walking = caller, outer
	hasNewEnds := c.mergeEnds(w.ends, e.values.join)
	hasNewEnds = c.addGiven(w.gives) || hasNewEnds
	switch {
	case exit == nil:
		return
	case c.exit == nil:
		c.exit = exit
	case !c.exit.merge(exit, e.values.join) && !hasNewEnds:
		return
	}
	e.change()
	c.exited = e.clock
}

// addGiven adds slots whose content is returned, and tells whether there are new ones.
func (c *callContext) addGiven(slots map[int32]bool) (found bool) {
	for n := range slots {
		if !c.gives[n] {
			if c.gives == nil {
				c.gives = make(map[int32]bool)
			}
			c.gives[n], found = true, true
		}
	}
	return found
}

// change notes that something is known that was not, which took until now.
func (e *engine) change() {
	e.clock++
	e.changed = true
}

// context returns the context of f for an entry state. Beyond maxContexts, those are
// told apart no more that differ in objects only, and what remains shares one.
func (e *engine) context(f *function, s *state) *callContext {
	contexts := e.contexts[f]
	if contexts == nil {
		contexts = make(map[string]*callContext)
		e.contexts[f] = contexts
	}
	c := &callContext{fn: f, part: e.partOfFunction(f), entry: s, sites: e.sitesOf(f)}
	if known := addContext(contexts, c, maxContexts); known != nil {
		return known
	}
	c = &callContext{fn: f, part: e.partOfFunction(f), entry: e.withoutObjects(s)}
	if known := addContext(contexts, c, 2*maxContexts); known != nil {
		return known
	}
	const shared = "shared"
	if known := contexts[shared]; known == nil {
		contexts[shared] = c
	} else if known.entry.merge(c.entry, e.values.widen) {
		known.done, known.walked, e.changed = false, 0, true
	}
	return contexts[shared]
}

// addContext returns a context like c that is there, or adds c unless there are most; it is
// nil then.
func addContext(contexts map[string]*callContext, c *callContext, most int) *callContext {
	key := c.entry.key() + string(binary.LittleEndian.AppendUint64(nil, uint64(c.sites[0])<<32|uint64(c.sites[1])))
	if known := contexts[key]; known != nil {
		return known
	}
	if len(contexts) >= most {
		return nil
	}
	contexts[key] = c
	return c
}

// sitesOf returns the calls that lead to f where one is made now, if it may allocate.
func (e *engine) sitesOf(f *function) (sites [maxSites]int32) {
	if e.current == nil || !e.allocating[f] || e.without(instances) {
		return sites
	}
	sites[0] = e.objects.site(instruction{e.walking.fn.code, e.walking.at})
	copy(sites[1:], e.current.sites[:])
	return sites
}

// withoutObjects is a state in which pointers may lead into any object.
func (e *engine) withoutObjects(s *state) *state {
	out := &state{stack: slices.Clone(s.stack)}
	anywhere := func(id valueID) valueID {
		v := e.values.all[id]
		if e.objectsOf(v) != noObject {
			v.objects = anyObject
		}
		return e.values.id(v)
	}
	for i, id := range s.regs {
		out.regs[i] = anywhere(id)
	}
	for i := range out.stack {
		out.stack[i].value = anywhere(out.stack[i].value)
	}
	return out
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
