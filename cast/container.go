package cast

// This file finds what holds an object by value, from a pointer to that object:
// container_of moves it back by the member's offset.

import (
	"slices"

	"github.com/cilium/ebpf/btf"
)

// holder is a member of a struct, at any depth.
type memberHolder struct {
	typ *btf.Struct
	off int64 // bytes into typ
}

// maxHolders bounds the structs that are looked at for one member.
const maxHolders = 4096

// holdersOf returns the structs of the program that hold a t by value, not as the
// first thing.
func (e *engine) holdersOf(t btf.Type) []memberHolder {
	found, known := e.holders[t]
	if known {
		return found
	}
	for _, s := range e.structs() {
		for _, off := range e.offsetsOf(s, t, maxNesting) {
			if off > 0 && len(found) < maxHolders {
				found = append(found, memberHolder{s, off})
			}
		}
	}
	e.holders[t] = found
	return found
}

// structs returns the program's own structs.
func (e *engine) structs() []*btf.Struct {
	if e.candidates == nil {
		e.candidates, e.pointed = candidates(e.obj, e.layouts)
	}
	return e.candidates
}

// offsetsOf returns where in s a t begins, arrays left out.
func (e *engine) offsetsOf(s btf.Type, t btf.Type, depth int) (offs []int64) {
	if depth == 0 {
		return nil
	}
	var members []btf.Member
	switch s := e.layouts.canonical(s).(type) {
	case *btf.Struct:
		members = s.Members
	case *btf.Union:
		members = s.Members
	}
	for _, m := range members {
		at, u := int64(m.Offset/8), e.layouts.canonical(m.Type)
		if u == t {
			offs = append(offs, at)
		}
		for _, off := range e.offsetsOf(u, t, depth-1) {
			offs = append(offs, at+off)
		}
	}
	return offs
}

// container is a pointer to what holds the object that p points in front of: if
// only one struct has that object so far from its start, or further.
func (e *engine) container(p pointer) (pointer, bool) {
	back, exact := p.off.exact()
	if !exact || back >= 0 || !isOwnAggregate(p) {
		return pointer{}, false
	}
	holders := slices.DeleteFunc(slices.Clone(e.holdersOf(p.typ)), func(h memberHolder) bool { return h.off < -back })
	if len(holders) != 1 || holders[0].off != -back {
		return pointer{}, false
	}
	p.typ, p.off = holders[0].typ, offset{}
	return p, true
}

func isOwnAggregate(p pointer) bool {
	if !p.known() || p.region != typed {
		return false
	}
	switch p.typ.(type) {
	case *btf.Struct, *btf.Union:
		return true
	}
	return false
}

// holderOf returns the struct that holds the objects behind pointers to t, if it has what
// all accesses of an outline reach that are in front of t or behind it, and one of them
// is in front, or names a member.
func (e *engine) holderOf(t btf.Type, o outline) *memberHolder {
	size, err := btf.Sizeof(t)
	var outside outline
	isTold := false
	for _, a := range o {
		if at, exact := a.off.exact(); err == nil && exact && (at < 0 || at >= int64(size)) {
			outside = append(outside, a)
			isTold = isTold || at < 0 || accessedMember(a.at.code, a.at.at) != ""
		}
	}
	if !isTold {
		return nil
	}
	for _, h := range e.holdersOf(t) {
		if !slices.ContainsFunc(outside, func(a trace) bool { return !e.holds(&h, a) }) {
			return &h
		}
	}
	return nil
}

// holds tells whether an access through a pointer to what is held reaches a member of
// its holder, the one that the line of C names.
func (e *engine) holds(h *memberHolder, a trace) bool {
	if h == nil {
		return false
	}
	off := a.off.add(constant(h.off))
	name := accessedMember(a.at.code, a.at.at)
	_, ok := e.layouts.at(h.typ, off, a.size)
	return ok && (name == "" || hasMemberAt(h.typ, name, off, maxNesting))
}

// around is the pointer for an access in front of the object that p points to, or behind it:
// into the only struct that holds such an object, and has a member there that the line
// of C names. An object that is behind may be the next one of a row.
func (w *walk) around(p pointer, size int) (pointer, bool) {
	at, exact := p.off.exact()
	if !exact || !isOwnAggregate(p) {
		return pointer{}, false
	}
	whole := int64(sizeOf(p.typ))
	if at >= 0 && (at < whole || whole == 0 || w.without(containers)) {
		return pointer{}, false
	}
	name := accessedMember(w.fn.code, w.at)
	if at >= 0 && (name == "" || openEnded(p.typ) || hasMemberAt(p.typ, name, newOffset(at%whole, 0), maxNesting)) {
		return pointer{}, false
	}
	found := w.onlyHolder(p.typ, at, size, name)
	if found == nil {
		return pointer{}, false
	}
	p.typ, p.off = found.typ, newOffset(found.off+at, 0)
	return p, true
}

// onlyHolder returns a struct that holds a t, and has a member of this name, or any, so many
// bytes from it: nil if there is none, or if several have different members there. What
// begins with a t counts for what is behind that.
func (e *engine) onlyHolder(t btf.Type, at int64, size int, name string) *memberHolder {
	holders := e.holdersOf(t)
	if at >= 0 {
		holders = slices.Concat(e.beginningWith(t), holders)
	}
	var found *memberHolder
	var member place
	for _, h := range holders {
		off := newOffset(h.off+at, 0)
		if h.off+at < 0 || name != "" && !hasMemberAt(h.typ, name, off, maxNesting) {
			continue
		}
		there, ok := e.layouts.at(h.typ, off, size)
		if !ok {
			continue
		}
		if found != nil && there != member {
			return nil
		}
		found, member = &h, there
	}
	return found
}

// beginningWith returns the structs of the program that begin with a t.
func (e *engine) beginningWith(t btf.Type) (found []memberHolder) {
	for _, s := range e.structs() {
		if startsWith(s, t) {
			found = append(found, memberHolder{typ: s})
		}
	}
	return found
}
