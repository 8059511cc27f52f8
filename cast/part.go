package cast

import "maps"

// This file divides an object into parts that share nothing, such as the programs that
// were linked into one: what is found out anew of one part leaves the others as they are.

// part is a node of a union of functions and cells: those of one part may call, or store
// what the others load.
type part struct {
	parent *part // nil for the node that stands for all
	isLast bool  // what is read through pointers of no type may lead into any object
}

func (p *part) root() *part {
	for p.parent != nil {
		if p.parent.parent != nil {
			p.parent = p.parent.parent
		}
		p = p.parent
	}
	return p
}

// join makes two parts one.
func (p *part) join(q *part) {
	if p, q = p.root(), q.root(); p != q {
		q.parent = p
		p.isLast = p.isLast && q.isLast
	}
}

// partOf returns the part that a slot is in, nil if no function has accessed it.
func (e *engine) partOf(s slot) *part {
	if s.fn != nil {
		return e.parts[s.fn].root()
	}
	c := e.cells[s]
	if c == nil {
		c = e.cells[s.in(0)]
	}
	if c == nil || c.part == nil {
		return nil
	}
	return c.part.root()
}

func (e *engine) partOfFunction(f *function) *part { return e.parts[f.Function] }

// reach notes that the function that is looked at shares a cell with all that access it.
func (e *engine) reach(c *cell) {
	switch {
	case e.current == nil:
	case c.part == nil:
		c.part = e.current.part.root()
	case c.part != e.current.part:
		c.part.join(e.current.part)
	}
}

// isOf tells whether a slot is in one of some parts, or in none.
func (e *engine) isOf(s slot, parts map[*part]bool) bool {
	p := e.partOf(s)
	return p == nil || parts[p]
}

// forget starts again with some parts.
func (e *engine) forget(parts map[*part]bool) {
	isOfSlot := func(n int32) bool { return e.isOf(e.kin.slots[n], parts) }
	e.flows.forget(isOfSlot)
	maps.DeleteFunc(e.outlined, func(t trace, _ bool) bool { return isOfSlot(t.kin) })
	for n := range e.kin.slots {
		if isOfSlot(int32(n)) {
			e.kin.parent[n], e.kin.isMet[n] = int32(n), false
		}
	}
	maps.DeleteFunc(e.loads, func(s slot, _ map[instruction]bool) bool { return e.isOf(s, parts) })
	maps.DeleteFunc(e.stores, func(s slot, _ map[instruction]bool) bool { return e.isOf(s, parts) })
	maps.DeleteFunc(e.handed, func(s slot, _ map[slot]bool) bool { return e.isOf(s, parts) })
	e.forgetContexts(parts)
	for s := range e.cells {
		if e.isOf(s, parts) {
			delete(e.cells, s)
		}
	}
	for p := range parts {
		p.isLast = false
	}
}

// forgetContexts forgets how the functions of some parts are called.
func (e *engine) forgetContexts(parts map[*part]bool) {
	maps.DeleteFunc(e.contexts, func(f *function, _ map[string]*callContext) bool { return parts[e.partOfFunction(f).root()] })
	maps.DeleteFunc(e.callbacks, func(f *function, _ *state) bool { return parts[e.partOfFunction(f).root()] })
}

// forget forgets the slots of which is says so.
func (f *flows) forget(is func(n int32) bool) {
	maps.DeleteFunc(f.edges, func(edge flowEdge, _ bool) bool { return is(edge.to) })
	maps.DeleteFunc(f.lost, func(n int32, _ bool) bool { return is(n) })
	maps.DeleteFunc(f.direct, func(n int32, _ map[trace]bool) bool { return is(n) })
}
