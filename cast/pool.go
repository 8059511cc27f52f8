package cast

// This file keeps apart what allocators hand out. A function that returns memory
// without a type gives each caller what that takes it for, be it new or what another
// one has freed: what is free is on lists that say nothing of it.

import (
	"slices"

	"github.com/ktgen/ktgen/runtime/ctype"
)

// isHandedOut tells whether what a function returns is what its caller makes of it.
func (w *walk) isHandedOut(f *function, v value) bool {
	if v.ptr.state != noPointer && (!returnsUntyped(f) || w.without(allocators)) {
		return false
	}
	if w.isInRoom(v) {
		return true
	}
	if v.ptr.known() && v.flags&isFresh != 0 && !w.isPooled(v.like) {
		w.hand(v.like, w.here())
		return false // it is of one type, new or not
	}
	switch {
	case v.flags&isFresh != 0, v.flags&isLoose != 0:
		return true
	case v.ptr.state != noPointer || v.from.state != oneOrigin:
		return false
	}
	return v.from.slot.kind == result || v.from.off.anywhere() || w.chained[v.from.slot]
}

// isInRoom tells whether a value is the address of room for anything.
func (w *walk) isInRoom(v value) bool {
	if !v.ptr.known() || v.ptr.region != typed || w.without(allocators) {
		return false
	}
	there, ok := w.layouts.at(v.ptr.typ, v.ptr.off, 0)
	return ok && isRoom(there.typ, v.ptr.space)
}

// chain is a word, and the place that holds the pointer that it is read through.
type chain struct{ word, place slot }

// chainedBehind is a word that is read through what a place holds.
func (w *walk) chainedBehind(base value) value {
	v := w.undeclared(w.here())
	if base.from.state == oneOrigin && base.from.off == (offset{}) {
		w.chains[chain{v.from.slot, base.from.slot}] = true
	}
	return v
}

// noteChain notes that a place gets the word that its content begins with: that is
// free, and chained.
func (e *engine) noteChain(s slot, v value) {
	if v.from.state == oneOrigin && e.chains[chain{v.from.slot, s}] && !e.chained[s] {
		e.chained[s] = true
		e.change()
	}
}

// isPooled tells whether a value may come from a pool.
func (e *engine) isPooled(from kins) bool {
	return from.n > maxKins || slices.ContainsFunc(from.ids[:from.n], func(id int32) bool { return e.pools[e.kin.slots[id]] })
}

// returnsUntyped tells whether a function returns an integer or an untyped pointer.
func returnsUntyped(f *function) bool {
	proto := prototype(f)
	return proto != nil && isCandidate(proto.Return)
}

// hand notes that what is loaded from some places is the result of a call.
func (e *engine) hand(from kins, to slot) {
	if from.n == 0 || from.n > maxKins || e.without(allocators) {
		return
	}
	for _, id := range from.ids[:from.n] {
		s := e.kin.slots[id]
		if s.kind != field && s.kind != mapSlot {
			continue
		}
		if e.handed[s] == nil {
			e.handed[s] = make(map[slot]bool)
		}
		if from.offset == (offset{}) {
			e.handed[s][to] = true
		} // else new memory was moved, and the content of the place was not
	}
}

// give notes where a value comes from that the function returns: what it returns
// otherwise is no reason to lose that.
func (w *walk) give(v value) {
	if v.ptr.state == conflicting || !v.like.known() || v.like.offset != (offset{}) || !returnsUntyped(w.fn) {
		return
	}
	if w.gives == nil {
		w.gives = make(map[int32]bool)
	}
	for _, id := range v.like.ids[:v.like.n] {
		w.gives[id] = true
	}
}

// takenFor returns what all calls that return the content of places use it as.
func (e *engine) takenFor(places []slot) (p pointer) {
	for _, s := range places {
		for to := range e.handed[s] {
			c := e.cell(to)
			if !c.isFinding() {
				return pointer{}
			}
			p = p.join(typedPointer(c.pointer().typ, ctype.SpaceUnknown))
		}
	}
	return p
}

// findPools finds the places of what is free: functions return it in place of new
// memory, and no new memory is stored there, or what is there is chained. It returns the
// parts in which there are more.
func (e *engine) findPools() map[*part]bool {
	found := make(map[*part]bool)
	for s := range e.handed {
		if !e.pools[s] && (e.chained[s] || !e.cell(s).fresh) {
			e.pools[s], found[e.partOf(s)] = true, true
		}
	}
	return found
}

// noteFreed notes which argument of the function that is looked at is put into a pool.
func (e *engine) noteFreed(v value) {
	if e.walking == nil || v.like.n == 0 || v.like.n > maxKins {
		return
	}
	for i, id := range e.current.entry.regs[1:6] {
		if given := e.values.all[id].like; given.n > 0 && given.n <= maxKins && given.ids == v.like.ids {
			e.frees[e.walking.fn] |= 1 << i
		}
	}
}

// untyped is v, of which only its being there counts.
func (v value) untyped() value {
	if v.ptr.state == noPointer && v.from.state == noOrigin && v.flags&isOpaque == 0 {
		return v // a number, or zero
	}
	return value{flags: v.flags&isNull | isOpaque}
}
