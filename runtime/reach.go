package runtime

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"reflect"
	"slices"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/internal/addrset"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// This file finds the objects that nothing but pointers tells of, as those of an
// arena, which others lie in. A pointer to one of them can be anywhere: all that
// lead to such objects are followed once, by the shapes, without decoding anything.

// maxReached bounds the objects that are looked at.
const maxReached = 1 << 20

// reached are the objects that others can lie in.
type reached struct {
	types []int      // those that others lie in, the largest first
	size  []int      // bytes, by type
	at    [][]uint64 // addresses by type, ascending
}

// around returns the objects that hold size bytes at an address and have a part of
// type t, the largest first.
func (r *reached) around(l *Layout, addr uint64, size int, t reflect.Type) (keys []objectKey) {
	for _, typ := range r.types {
		if r.size[typ] < size || !l.embedsOf(l.goType(typ))[t] {
			continue
		}
		before := min(addr, uint64(r.size[typ]-size)) // bytes of the object
		i, _ := slices.BinarySearch(r.at[typ], addr-before)
		for ; i < len(r.at[typ]) && r.at[typ][i] <= addr; i++ {
			keys = append(keys, objectKey{addr: r.at[typ][i], typ: typ})
		}
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
	b       *Binding
	place   *wholes
	typ     map[reflect.Type]int
	of      map[int][]link
	outer   []bool                // by type: others lie in it
	holds   map[reflect.Type]bool // types that lie in one of those
	swapped bool                  // this machine has another byte order than guests
	leads   []bool                // by type: it is outer, or leads to what is
}

// reach follows pointers from all that is in the snapshot.
func (l *links) reach() *reached {
	b, w := l.b, newReachWalk(l)
	for _, m := range b.maps {
		if of := l.linksOf(m.typ); m.m != nil && m.err == nil && m.typ >= 0 && len(of) > 0 {
			m.Each(func(raw []byte) { l.follow(raw, of, w.found) })
		}
	}
	for i, s := range b.sections {
		if of := l.linksOf(-1 - i); s.m != nil && s.err == nil && len(of) > 0 {
			s.Each(func(raw []byte) { l.follow(raw, of, w.found) })
		}
	}
	for addr, typ := range b.wholes.slab {
		if raw, ok := b.memory().Read(addr, b.types[typ].shape.Size); ok {
			l.follow(raw, l.linksOf(typ), w.found)
		}
	}
	return w.finish()
}

// reachWalk is what was found so far, by type.
type reachWalk struct {
	l     *links
	of    [][]link
	seen  []addrset.Set
	at    [][]uint64 // addresses that were found; those that were followed are captured
	next  []int      // of at, to follow
	total int
	near  ktsnap.Span // that was read last
}

func newReachWalk(l *links) *reachWalk {
	n := len(l.b.types)
	w := &reachWalk{l: l, of: make([][]link, n), seen: make([]addrset.Set, n), at: make([][]uint64, n), next: make([]int, n)}
	for t := range n {
		w.of[t] = l.linksOf(t)
	}
	return w
}

func (w *reachWalk) found(addr uint64, typ int) {
	if w.total < maxReached && addr != 0 && w.seen[typ].Add(addr) {
		w.at[typ] = append(w.at[typ], addr)
		w.total++
	}
}

// finish follows what was found to the end.
func (w *reachWalk) finish() *reached {
	for more := true; more; {
		more = false
		for typ := range w.at {
			more = w.follow(typ) || more
		}
	}
	r := &reached{size: make([]int, len(w.at)), at: w.at}
	for typ, at := range w.at {
		if w.l.outer[typ] && len(at) > 0 {
			slices.Sort(at)
			r.types = append(r.types, typ)
			r.size[typ] = w.l.b.types[typ].shape.Size
		}
	}
	slices.SortStableFunc(r.types, func(a, b int) int { return cmp.Compare(r.size[b], r.size[a]) })
	return r
}

// read reads memory, mostly near that before.
func (w *reachWalk) read(addr uint64, size int) (raw []byte, ok bool) {
	if at := addr - w.near.Start; at < uint64(len(w.near.Data)) && uint64(size) <= uint64(len(w.near.Data))-at {
		return w.near.Data[at:][:size], true
	}
	w.near, _ = w.l.b.memory().Span(addr)
	return w.l.b.memory().Read(addr, size)
}

// follow follows the objects of a type, and drops those that were not captured. It
// tells whether there were any.
func (w *reachWalk) follow(typ int) (some bool) {
	kept := w.next[typ]
	size := 0
	if s := w.l.b.types[typ].shape; s != nil {
		size = s.Size
	}
	for i := kept; i < len(w.at[typ]); i++ {
		addr := w.at[typ][i]
		if raw, ok := w.read(addr, size); ok {
			w.at[typ][kept] = addr
			kept++
			w.l.follow(raw, w.of[typ], w.found)
		}
		some = true
	}
	w.at[typ], w.next[typ] = w.at[typ][:kept], kept
	return some
}

// newLinks finds out which types are worth being followed to.
func (b *Binding) newLinks() *links {
	l := &links{
		b: b, place: &b.wholes, typ: make(map[reflect.Type]int), of: make(map[int][]link),
		swapped: binary.NativeEndian.Uint16([]byte{0, 1}) == 1,
		outer:   make([]bool, len(b.types)), holds: make(map[reflect.Type]bool), leads: make([]bool, len(b.types)),
	}
	for t := range b.types {
		if g := b.layout.goType(t); g != nil && b.types[t].shape != nil {
			l.typ[g] = t
		}
	}
	all := make(map[int][]link)
	for t := -len(b.sections); t < len(b.types); t++ {
		all[t] = l.compile(t)
	}
	pointee := make([]bool, len(b.types))
	for _, of := range all {
		l.pointees(of, pointee)
	}
	l.outermost(pointee)
	for changed := true; changed; {
		changed = false
		for t, of := range all {
			if t >= 0 && !l.leads[t] && l.worth(of) {
				l.leads[t], changed = true, true
			}
		}
	}
	return l
}

// pointees marks the types that pointers lead to.
func (l *links) pointees(of []link, mark []bool) {
	for _, k := range of {
		if k.elem == nil {
			mark[k.typ] = true
		}
		l.pointees(k.elem, mark)
	}
}

// outermost finds the types whose objects are looked for: pointers lead to them, and
// to types that lie in them.
func (l *links) outermost(pointee []bool) {
	for g, t := range l.typ {
		for in := range l.b.layout.embedsOf(g) {
			if inner, known := l.typ[in]; known && pointee[t] && pointee[inner] {
				l.outer[t], l.leads[t] = true, true
				l.holds[in] = true
			}
		}
	}
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
func (l *links) follow(raw []byte, of []link, found func(addr uint64, typ int)) {
	for _, k := range of {
		if k.n == 0 {
			if addr, ok := l.pointer(raw, k.offset); ok {
				found(addr, k.typ)
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
	if addr = binary.NativeEndian.Uint64(raw[offset:]); addr == 0 {
		return 0, false
	}
	if l.swapped {
		addr = bits.ReverseBytes64(addr)
	}
	return l.b.memory().Canonical(addr), true
}
