package runtime

import (
	"cmp"
	"github.com/ktgen/ktgen/runtime/ctype"
	"reflect"
	"slices"
)

// This file finds the objects that nothing but pointers tells of, as those of an
// arena, which others lie in. A pointer to one of them can be anywhere: all that
// lead to such objects are followed once, by the shapes, without decoding anything.

// maxReached bounds the objects that are looked at.
const maxReached = 1 << 20

// reached are the objects that others can lie in, by address.
type reached struct {
	objects []extent
	longest int // bytes, of any of them
}

type extent struct {
	objectKey
	size int
}

// around returns the objects that hold size bytes at an address, the largest first.
func (r *reached) around(addr uint64, size int) (keys []objectKey) {
	end, _ := slices.BinarySearchFunc(r.objects, addr, func(e extent, addr uint64) int {
		if e.addr <= addr {
			return -1
		}
		return 1
	})
	var found []extent
	for i := end - 1; i >= 0 && addr-r.objects[i].addr < uint64(r.longest); i-- {
		if e := r.objects[i]; addr-e.addr+uint64(size) <= uint64(e.size) {
			found = append(found, e)
		}
	}
	slices.SortStableFunc(found, func(a, b extent) int {
		return cmp.Or(cmp.Compare(b.size, a.size), cmp.Compare(a.addr, b.addr), cmp.Compare(a.typ, b.typ))
	})
	for _, e := range found {
		keys = append(keys, e.objectKey)
	}
	return keys
}

// link is where a type has a pointer that is followed, or a run of elements that
// have some.
type link struct {
	offset    int // bytes, in the guest
	typ       int // that the pointer leads to
	elem      []link
	n, stride int // elements, and bytes from one to the next; n is -1 for a flexible array
}

// links are the pointers of each type and section of a layout.
type links struct {
	b     *Binding
	place *wholes
	typ   map[reflect.Type]int
	of    map[int][]link
	outer []bool // by type: others lie in it
	leads []bool // by type: it is outer, or leads to what is
}

// reach follows pointers from all that is in the snapshot.
func (b *Binding) reach() *reached {
	r := &reached{}
	l := b.newLinks()
	if l == nil {
		return r
	}
	seen := make(map[objectKey]bool)
	var queue []objectKey
	visit := func(raw []byte, of []link) {
		l.follow(raw, of, func(key objectKey) {
			if !seen[key] && len(seen) < maxReached {
				seen[key] = true
				queue = append(queue, key)
			}
		})
	}
	for _, m := range b.maps {
		if of := l.linksOf(m.typ); m.m != nil && m.err == nil && m.typ >= 0 && len(of) > 0 {
			m.each(func(raw []byte) { visit(raw, of) })
		}
	}
	for i, s := range b.sections {
		if of := l.linksOf(-1 - i); s.m != nil && s.err == nil && len(of) > 0 {
			s.each(func(raw []byte) { visit(raw, of) })
		}
	}
	for addr, typ := range b.wholes.slab {
		if raw, ok := b.memory.read(addr, b.types[typ].shape.Size); ok {
			visit(raw, l.linksOf(typ))
		}
	}
	for next := 0; next < len(queue); next++ {
		key := queue[next]
		size := b.types[key.typ].shape.Size
		raw, ok := b.memory.read(key.addr, size)
		if !ok {
			continue
		}
		if l.outer[key.typ] {
			r.objects = append(r.objects, extent{key, size})
			r.longest = max(r.longest, size)
		}
		visit(raw, l.linksOf(key.typ))
	}
	slices.SortFunc(r.objects, func(a, b extent) int {
		return cmp.Or(cmp.Compare(a.addr, b.addr), cmp.Compare(a.typ, b.typ))
	})
	return r
}

// each calls f with the values of a source that are there.
func (s *source) each(f func(raw []byte)) {
	n := s.n
	if s.records != nil {
		n = len(s.records)
	}
	for entry := range n {
		for slot := range max(s.slots, 1) {
			if raw, _, ok := s.value(entry, slot); ok {
				f(raw)
			}
		}
	}
}

// newLinks finds out which types are worth being followed to. It is nil if there
// are none.
func (b *Binding) newLinks() *links {
	l := &links{
		b: b, place: &b.wholes, typ: make(map[reflect.Type]int), of: make(map[int][]link),
		outer: make([]bool, len(b.types)), leads: make([]bool, len(b.types)),
	}
	for t := range b.types {
		if g := b.layout.goType(t); g != nil && b.types[t].shape != nil {
			l.typ[g] = t
		}
	}
	some := false
	for g, t := range l.typ {
		for in := range b.layout.embedsOf(g) {
			if _, isTarget := l.typ[in]; isTarget {
				l.outer[t], l.leads[t], some = true, true, true
			}
		}
	}
	if !some {
		return nil
	}
	all := make(map[int][]link)
	for t := range b.types {
		all[t] = l.compile(t)
	}
	for changed := true; changed; {
		changed = false
		for t, of := range all {
			if !l.leads[t] && l.worth(of) {
				l.leads[t], changed = true, true
			}
		}
	}
	return l
}

// worth tells whether one of the pointers leads to an object that others lie in.
func (l *links) worth(of []link) bool {
	return slices.ContainsFunc(of, func(k link) bool {
		return k.elem == nil && l.leads[k.typ] || l.worth(k.elem)
	})
}

// linksOf returns the pointers of a type, or of a section, that are worth it.
func (l *links) linksOf(typ int) []link {
	if known, ok := l.of[typ]; ok {
		return known
	}
	of := l.prune(l.compile(typ))
	l.of[typ] = of
	return of
}

func (l *links) prune(of []link) (worth []link) {
	for _, k := range of {
		k.elem = l.prune(k.elem)
		if k.elem != nil || k.n == 0 && l.leads[k.typ] {
			worth = append(worth, k)
		}
	}
	return worth
}

// compile finds the pointers in a type, or in a section.
func (l *links) compile(typ int) []link {
	g := l.b.layout.goType(typ)
	switch {
	case g == nil:
		return nil
	case typ < 0:
		return l.in(g, l.b.shapes.sections[-1-typ], l.b.sections[-1-typ].shape, 0, ctype.MaxNesting)
	}
	return l.in(g, l.b.shapes.types[typ], l.b.types[typ].shape, 0, ctype.MaxNesting)
}

func (l *links) in(g reflect.Type, want, have *ctype.Shape, offset, depth int) (of []link) {
	if want == nil || have == nil || want.Underlying() == nil || have.Underlying() == nil || depth == 0 {
		return nil
	}
	w, h := want.Underlying(), have.Underlying()
	switch {
	case g.Kind() == reflect.Pointer:
		if typ, ok := l.typ[g.Elem()]; ok && h.Size == 8 {
			return []link{{offset: offset, typ: typ}}
		}
	case w.Kind == ctype.KindArray && h.Kind == ctype.KindArray:
		return l.elements(g, w, h, offset, depth)
	case g.Kind() == reflect.Struct && hasFields(w) && hasFields(h):
		for _, f := range l.place.places(w, h) {
			if f.index < g.NumField() {
				of = append(of, l.in(g.Field(f.index).Type, f.want, f.have, offset+f.offset, depth-1)...)
			}
		}
	}
	return of
}

// elements finds the pointers in an array.
func (l *links) elements(g reflect.Type, want, have *ctype.Shape, offset, depth int) []link {
	n := have.Len
	var elem reflect.Type
	switch g.Kind() {
	case reflect.Array:
		elem, n = g.Elem(), min(n, g.Len())
	case reflect.Slice:
		elem, n = g.Elem(), -1
	case reflect.Struct: // Array
		if typ, ok := l.b.shapes.number(want.Elem); ok {
			elem = l.b.layout.goType(typ)
		}
	}
	if elem == nil || have.Elem.Size <= 0 || n == 0 {
		return nil
	}
	if in := l.in(elem, want.Elem, have.Elem, 0, depth-1); in != nil {
		return []link{{offset: offset, elem: in, n: n, stride: have.Elem.Size}}
	}
	return nil
}

// follow calls found with what the pointers in a value lead to.
func (l *links) follow(raw []byte, of []link, found func(objectKey)) {
	for _, k := range of {
		if k.n == 0 {
			if addr, ok := l.pointer(raw, k.offset); ok {
				found(objectKey{addr: addr, typ: k.typ})
			}
			continue
		}
		for i, at := 0, k.offset; (i < k.n || k.n < 0) && at >= 0 && at+k.stride <= len(raw); i, at = i+1, at+k.stride {
			l.follow(raw[at:][:k.stride], k.elem, found)
		}
	}
}

func (l *links) pointer(raw []byte, offset int) (addr uint64, ok bool) {
	if offset < 0 || offset+8 > len(raw) {
		return 0, false
	}
	addr = ctype.IntPlace{Bits: 64, BigEndian: l.b.snapshot.Guest.BigEndian}.Load(raw[offset:][:8])
	return l.b.memory.canonical(addr), addr != 0
}
