package within

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

// maxReached bounds the objects that are looked at.
const maxReached = 1 << 20

// Object is an object of the guest.
type Object struct {
	Addr uint64
	Type int // its number
}

// Reached are the objects that others can lie in.
type Reached struct {
	l     *Layout
	types []int      // those that others lie in, the largest first
	size  []int      // bytes, by type
	at    [][]uint64 // addresses by type, ascending
}

// Around returns the objects that hold size bytes at an address and have a part of
// type t, the largest first.
func (r *Reached) Around(addr uint64, size int, t reflect.Type) (objects []Object) {
	for _, typ := range r.types {
		if r.size[typ] < size || !r.l.Lies.In(r.l.Types[typ].Go)[t] {
			continue
		}
		before := min(addr, uint64(r.size[typ]-size)) // bytes of the object
		i, _ := slices.BinarySearch(r.at[typ], addr-before)
		for ; i < len(r.at[typ]) && r.at[typ][i] <= addr; i++ {
			objects = append(objects, Object{r.at[typ][i], typ})
		}
	}
	return objects
}

// link is where a type has a pointer that is followed, or a run of elements that
// have some.
type link struct {
	offset    int // bytes, in the guest
	typ       int // that the pointer leads to
	elem      []link
	n, stride int // elements, and bytes from one to the next; n is -1 for a flexible array
}

// Links are the pointers of each type and section of a layout.
type Links struct {
	*Layout
	memory  *ktsnap.Memory
	typ     map[reflect.Type]int
	of      map[int][]link
	outer   []bool                // by type: others lie in it
	holds   map[reflect.Type]bool // types that lie in one of those
	swapped bool                  // this machine has another byte order than guests
	leads   []bool                // by type: it is outer, or leads to what is
}

// Hold tells whether objects of a type can lie in what only pointers tell of.
func (l *Links) Hold(t reflect.Type) bool { return l.holds[t] }

// Reach follows pointers from the values that roots has, of the types that it is to
// ask for.
func (l *Links) Reach(roots func(asked func(typ int) bool, visit func(typ int, raw []byte))) *Reached {
	w := newReachWalk(l)
	roots(
		func(typ int) bool { return len(l.linksOf(typ)) > 0 },
		func(typ int, raw []byte) { l.follow(raw, l.linksOf(typ), w.found) },
	)
	return w.finish()
}

// reachWalk is what was found so far, by type.
type reachWalk struct {
	l     *Links
	of    [][]link
	seen  []addrset.Set
	at    [][]uint64 // addresses that were found; those that were followed are captured
	next  []int      // of at, to follow
	total int
	near  ktsnap.Span // that was read last
}

func newReachWalk(l *Links) *reachWalk {
	n := len(l.Types)
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
func (w *reachWalk) finish() *Reached {
	for more := true; more; {
		more = false
		for typ := range w.at {
			more = w.follow(typ) || more
		}
	}
	r := &Reached{l: w.l.Layout, size: make([]int, len(w.at)), at: w.at}
	for typ, at := range w.at {
		if w.l.outer[typ] && len(at) > 0 {
			slices.Sort(at)
			r.types = append(r.types, typ)
			r.size[typ] = w.l.Types[typ].Have.Size
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
	w.near, _ = w.l.memory.Span(addr)
	return w.l.memory.Read(addr, size)
}

// follow follows the objects of a type, and drops those that were not captured. It
// tells whether there were any.
func (w *reachWalk) follow(typ int) (some bool) {
	kept := w.next[typ]
	size := 0
	if s := w.l.Types[typ].Have; s != nil {
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

// NewLinks finds out which types are worth being followed to.
func NewLinks(of *Layout, memory *ktsnap.Memory) *Links {
	n := len(of.Types)
	l := &Links{
		Layout: of, memory: memory, typ: make(map[reflect.Type]int), of: make(map[int][]link),
		swapped: binary.NativeEndian.Uint16([]byte{0, 1}) == 1,
		outer:   make([]bool, n), holds: make(map[reflect.Type]bool), leads: make([]bool, n),
	}
	for t, typ := range of.Types {
		if typ.Go != nil && typ.Have != nil {
			l.typ[typ.Go] = t
		}
	}
	all := make(map[int][]link)
	for t := -len(of.Sections); t < n; t++ {
		all[t] = l.compile(t)
	}
	pointee := make([]bool, n)
	for _, links := range all {
		l.pointees(links, pointee)
	}
	l.outermost(pointee)
	for changed := true; changed; {
		changed = false
		for t, links := range all {
			if t >= 0 && !l.leads[t] && l.worth(links) {
				l.leads[t], changed = true, true
			}
		}
	}
	return l
}

// pointees marks the types that pointers lead to.
func (l *Links) pointees(of []link, mark []bool) {
	for _, k := range of {
		if k.elem == nil {
			mark[k.typ] = true
		}
		l.pointees(k.elem, mark)
	}
}

// outermost finds the types whose objects are looked for: pointers lead to them, and
// to types that lie in them.
func (l *Links) outermost(pointee []bool) {
	for g, t := range l.typ {
		for in := range l.Lies.In(g) {
			if inner, known := l.typ[in]; known && pointee[t] && pointee[inner] {
				l.outer[t], l.leads[t] = true, true
				l.holds[in] = true
			}
		}
	}
}

// worth tells whether one of the pointers leads to an object that others lie in.
func (l *Links) worth(of []link) bool {
	return slices.ContainsFunc(of, func(k link) bool {
		return k.elem == nil && l.leads[k.typ] || l.worth(k.elem)
	})
}

// linksOf returns the pointers of a type, or of a section, that are worth it.
func (l *Links) linksOf(typ int) []link {
	if known, ok := l.of[typ]; ok {
		return known
	}
	of := l.prune(l.compile(typ))
	l.of[typ] = of
	return of
}

func (l *Links) prune(of []link) (worth []link) {
	for _, k := range of {
		k.elem = l.prune(k.elem)
		if k.elem != nil || k.n == 0 && l.leads[k.typ] {
			worth = append(worth, k)
		}
	}
	return worth
}

// compile finds the pointers in a type, or in a section.
func (l *Links) compile(typ int) []link {
	t := l.at(typ)
	if t.Go == nil {
		return nil
	}
	return l.in(t.Go, t.Want, t.Have, 0, ctype.MaxNesting)
}

func (l *Links) in(g reflect.Type, want, have *ctype.Shape, offset, depth int) (of []link) {
	w, h := want.Underlying(), have.Underlying()
	switch {
	case w == nil || h == nil || depth == 0:
	case g.Kind() == reflect.Pointer:
		if typ, ok := l.typ[g.Elem()]; ok && h.Size == 8 {
			return []link{{offset: offset, typ: typ}}
		}
	case w.Kind == ctype.KindArray && h.Kind == ctype.KindArray:
		return l.elements(g, w, h, offset, depth)
	case g.Kind() == reflect.Struct && HasFields(w) && HasFields(h):
		for _, f := range l.Fields.Of(w, h) {
			if f.Index < g.NumField() {
				of = append(of, l.in(g.Field(f.Index).Type, f.Want, f.Have, offset+f.Offset, depth-1)...)
			}
		}
	}
	return of
}

// elements finds the pointers in an array.
func (l *Links) elements(g reflect.Type, want, have *ctype.Shape, offset, depth int) []link {
	n := have.Len
	var elem reflect.Type
	switch g.Kind() {
	case reflect.Array:
		elem, n = g.Elem(), min(n, g.Len())
	case reflect.Slice:
		elem, n = g.Elem(), -1
	case reflect.Struct: // Array
		if typ, ok := l.Number(want.Elem); ok {
			elem = l.Types[typ].Go
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
func (l *Links) follow(raw []byte, of []link, found func(addr uint64, typ int)) {
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

func (l *Links) pointer(raw []byte, offset int) (addr uint64, ok bool) {
	if offset < 0 || offset+8 > len(raw) {
		return 0, false
	}
	if addr = binary.NativeEndian.Uint64(raw[offset:]); addr == 0 {
		return 0, false
	}
	if l.swapped {
		addr = bits.ReverseBytes64(addr)
	}
	return l.memory.Canonical(addr), true
}
