package cast

import (
	"maps"
	"slices"

	"github.com/cilium/ebpf/btf"
)

// This file analyses parts of an object a second time, each function by itself: called with what its
// prototype says. Where callers pass what is not known, or pass different things to a function that is for
// all of them, the first analysis knows less than the prototype says. What the second one finds
// alone is likely at best, as callers may pass something else.

// analysis is that of an engine that has run.
func (e *engine) analysis(own map[btf.Type]bool) *Analysis {
	a := &Analysis{engine: e, own: own}
	if e.without(interprocedural) || e.without(prototypes) {
		return a
	}
	open := a.open()
	if len(open) == 0 {
		return a
	}
	opts := e.opts
	opts.Without |= interprocedural
	opts.Listing = false
	alone := newEngine(e.source, opts)
	alone.leave(func(f *function) bool { return !open[e.partOfFunction(f).root()] || !e.isReached(f) })
	alone.run()
	a.alone = &Analysis{engine: alone, own: own, isAlone: true}
	return a
}

// open returns the parts in which prototypes say more of a slot that may hold pointers, and of which
// too little is known.
func (a *Analysis) open() map[*part]bool {
	open := make(map[*part]bool)
	for s, c := range a.cells {
		if a.inQuestion(s) && a.isOpen(s, c) {
			open[a.partOf(s)] = true
		}
	}
	spoken := make(map[*part]bool)
	for _, f := range a.functions {
		if !f.Program() && f.Static && prototype(f) != nil {
			spoken[a.partOfFunction(f).root()] = true
		}
	}
	maps.DeleteFunc(open, func(p *part, _ bool) bool { return !spoken[p] })
	return open
}

// isOpen tells whether a slot may hold pointers, of which too little is known.
func (a *Analysis) isOpen(s slot, c *cell) bool {
	if c.isFinding() {
		return a.class(s, c) == Guessed
	}
	return !c.isMixed() && c.stored.flags&isOpaque != 0
}

// isReached tells whether the analysis came to a function.
func (e *engine) isReached(f *function) bool { return len(e.contexts[f]) > 0 }

// leave has functions not be analysed.
func (e *engine) leave(is func(f *function) bool) {
	e.roots = slices.DeleteFunc(e.roots, is)
	e.left = make(map[*function]bool)
	for _, f := range e.functions {
		e.left[f] = is(f)
	}
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
