package cast

import (
	"slices"

	"github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/object"
)

// This file analyses an object a second time, each function by itself: called with what its prototype
// says. Where callers pass what is not known, or pass different things to a function that is for all
// of them, the first analysis knows less than the prototype says. What the second one finds
// alone is likely at best, as callers may pass something else.

// analysis is that of an engine that has run.
func (e *engine) analysis(own map[btf.Type]bool) *Analysis {
	a := &Analysis{engine: e, own: own}
	if e.without(interprocedural) || e.without(prototypes) || !e.hasPrototypes() || !a.leavesOpen() {
		return a
	}
	opts := e.opts
	opts.Without |= interprocedural
	opts.Listing = false
	alone := newEngine(e.obj, opts)
	alone.roots = slices.DeleteFunc(alone.roots, func(f *function) bool { return !e.isReached(f.Function) })
	alone.run()
	a.alone = &Analysis{engine: alone, own: own, isAlone: true}
	return a
}

// hasPrototypes tells whether there is a function that the first analysis takes by its calls only.
func (e *engine) hasPrototypes() bool {
	for _, f := range e.functions {
		if !f.Program() && f.Static && prototype(f) != nil {
			return true
		}
	}
	return false
}

// leavesOpen tells whether there is a slot that may hold pointers, and of which too little is known.
func (a *Analysis) leavesOpen() bool {
	for s, c := range a.cells {
		open := c.isFinding() && a.class(s, c) == Guessed || !c.isFinding() && !c.isMixed() && c.stored.flags&isOpaque != 0
		if open && a.inQuestion(s) {
			return true
		}
	}
	return false
}

// isReached tells whether the first analysis came to a function.
func (e *engine) isReached(f *object.Function) bool {
	return len(e.contexts[e.functions[functionKey(f.Section, f.Offset)]]) > 0
}

// seen are the slots of which something is known.
func (a *Analysis) seen() map[slot]bool {
	all := make(map[slot]bool, len(a.cells))
	for s := range a.cells {
		all[s] = true
	}
	if a.alone != nil {
		for s := range a.alone.cells {
			all[s] = true
		}
	}
	return all
}

// answer is what is known of a slot, nil if that is nothing, and by which analysis.
func (a *Analysis) answer(s slot) (by *Analysis, c *cell) {
	c = a.cells[s]
	if a.alone == nil || c != nil && (c.isMixed() || c.isFinding() && a.class(s, c) <= Likely) {
		return a, c
	}
	other := a.alone.cells[s]
	if a.pools[s] || a.apart[s] {
		return a, c // the first one knows of several
	}
	// A pointer to a struct is as good as one to what the struct begins with.
	if other == nil || !other.isFinding() || a.alone.class(s, other) > Likely || startsWithStruct(other.pointer().typ) {
		return a, c
	}
	return a.alone, other
}
