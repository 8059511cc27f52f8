package cast

// This file follows addresses of links: of the root of a tree or of a member of
// one of its nodes, whichever is to be set. They point into different types, so
// that all that is known is which places they may be of.

// maxLinks is how many places an address may be of before it is not followed.
const maxLinks = 4

// links is a small set of numbers of slots, ascending. The zero value is not known,
// as is more than maxLinks. It is comparable.
type links struct {
	n   int8
	ids [maxLinks]int32
}

func (l links) known() bool { return l.n > 0 && l.n <= maxLinks }

// union returns what is in either set, the zero links if that is too much.
func (l links) union(o links) links {
	for _, id := range o.ids[:o.n] {
		if l = l.with(id); !l.known() {
			return links{}
		}
	}
	return l
}

func (l links) with(id int32) links {
	at := 0
	for at < int(l.n) && l.ids[at] < id {
		at++
	}
	switch {
	case at < int(l.n) && l.ids[at] == id:
		return l
	case l.n == maxLinks:
		return links{}
	}
	copy(l.ids[at+1:], l.ids[at:l.n])
	l.ids[at] = id
	l.n++
	return l
}

// linksOf returns the places of 8 bytes that a value may be the address of.
func (e *engine) linksOf(v value) links {
	if v.links.known() {
		return v.links
	}
	if !v.ptr.known() || v.ptr.region != typed {
		return links{}
	}
	there, ok := e.layouts.at(v.ptr.typ, v.ptr.off, slotSize)
	if !ok || len(e.layouts.views(v.ptr.typ, v.ptr.off)) > 0 {
		return links{}
	}
	s, ok := slotOf(v.ptr, there)
	if !ok || e.isForeign(s) {
		return links{}
	}
	e.kin.of(s)
	return links{}.with(e.kin.number[s])
}

// linksAt returns the places that v may be the address of once it is moved by one of a
// few numbers.
func (e *engine) linksAt(v value, n Number) links {
	var all links
	for _, c := range n.all() {
		at := e.linksOf(shift(v, constant(c)))
		if !at.known() {
			return links{}
		}
		if all = all.union(at); !all.known() {
			return links{}
		}
	}
	return all
}

// meet is the join of two values that notes the places that they are addresses of,
// where they are of different ones.
func (e *engine) meet(a, b value) value {
	out := a.join(b)
	if out.ptr.state == conflicting {
		out.ptr = e.meetParts(a.ptr, b.ptr)
	}
	out.objects = e.objects.union(e.objectsOf(a), e.objectsOf(b))
	isNone := func(v value) bool { return v.ptr.state == noPointer && v.flags&(isNumber|isOpaque) == 0 }
	if out.ptr.state == noPointer || out.ptr.known() && out.ptr.off.stride == 0 {
		return out
	}
	la, lb := e.linksOf(a), e.linksOf(b)
	switch {
	case la.known() && lb.known():
		out.links = la.union(lb)
	case la.known() && isNone(b):
		out.links = la
	case lb.known() && isNone(a):
		out.links = lb
	}
	return out
}

// meetParts is where pointers of different types may lead: to a struct that one of them
// leads to, and that the other one leads to a part of this type of, as does a pointer to
// a link in one object and to that in another.
func (e *engine) meetParts(a, b pointer) pointer {
	partA, okA := e.partAt(a)
	partB, okB := e.partAt(b)
	for _, try := range []struct {
		a, b pointer
		ok   bool
	}{{partA, b, okA}, {a, partB, okB}, {partA, partB, okA && okB}} {
		if joined := try.a.join(try.b); try.ok && joined.known() && joined.off.stride == 0 {
			return joined
		}
	}
	return pointer{state: conflicting}
}

// partAt is a pointer into an object as one to the struct that begins there.
func (e *engine) partAt(p pointer) (pointer, bool) {
	if !p.known() || p.region != typed || p.off == (offset{}) {
		return pointer{}, false
	}
	there, ok := e.layouts.at(p.typ, p.off, 0)
	if !ok || firstStruct(there.typ) != nil {
		return pointer{}, false
	}
	p.typ, p.off = e.layouts.element(there.typ), offset{}
	return p, isOwnAggregate(p)
}

// readLinks is what is at one of several places.
func (w *walk) readLinks(l links, size int) value {
	if size != slotSize {
		return unknown(size)
	}
	var v value
	for _, id := range l.ids[:l.n] {
		w.noteSlot(w.kin.slots[id])
		v = w.meet(v, w.get(w.kin.slots[id]))
	}
	return v
}

// writeLinks stores in one of several places.
func (w *walk) writeLinks(l links, size int, v value) {
	if size != slotSize {
		return
	}
	for _, id := range l.ids[:l.n] {
		w.noteSlot(w.kin.slots[id])
		w.put(w.kin.slots[id], v)
	}
}

// isLink tells whether a value is the address of one of several places, and an
// access to it reaches no place that they have in common.
func (w *walk) isLink(base value, off int64) bool {
	if !base.links.known() || off != 0 {
		return false
	}
	if !base.ptr.known() {
		return true
	}
	_, ok := w.layouts.at(base.ptr.typ, base.ptr.off, slotSize)
	return !ok
}
