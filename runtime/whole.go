package runtime

import (
	"reflect"
	"slices"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/internal/parts"
	"github.com/ktgen/ktgen/runtime/internal/within"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// This file makes one Go value of what is one object in the guest, also where a
// pointer leads into another object: it gives the address of that one's field.
//
// Go cannot move a value into a larger one that is read later. So the larger one is found
// first, whatever is read first (wholes.at), and has memory from the first pointer into it on.
// What that pointer leads to is decoded there, and the rest when someone reads it. Other
// goroutines can read what they have got meanwhile, so that it is not written again.

// whole is an object that pointers lead into, and that lies in no other.
type whole struct {
	key        objectKey
	value      reflect.Value // pointer to the Go value
	want, have *ctype.Shape
	parts      parts.List // what was decoded of it before it was
}

// slot is where an object is decoded to.
type slot[V any] struct {
	v      *V
	whole  *whole       // that v is a part of; nil if it is none
	before []parts.Part // of v, that were decoded before: they stay as they are
	done   bool         // v is decoded with what it is in
}

// slotFor returns where the object with a key is decoded to. The memo's lock is held.
func slotFor[V any](b *Binding, key objectKey, size int) slot[V] {
	if w := b.wholes.known[key]; w != nil {
		if v, ok := w.value.Interface().(*V); ok {
			return slot[V]{v: v, before: slices.Clone(w.parts)}
		}
	}
	if key.source == 0 && b.layout.isEmbedded(key.typ) {
		if w, field := b.wholes.at(b, key, size, reflect.TypeFor[V]()); w != nil {
			return slot[V]{v: field.Addr().Interface().(*V), whole: w, done: b.memo[w.key] != nil || w.parts.Has(parts.Of(field))}
		}
	}
	return slot[V]{v: new(V)}
}

// claim has the object be decoded there.
func (s *slot[V]) claim(o *object) *object {
	o.value = s.v
	if s.whole != nil && !s.done {
		o.whole = s.whole
		s.before = s.whole.parts.Add(parts.Of(reflect.ValueOf(s.v).Elem()))
	}
	return o
}

// around returns a decoder that leaves parts of the value as they are.
func around[V any](decode Decode[V], before []parts.Part) Decode[V] {
	if len(before) == 0 {
		return decode
	}
	return func(v *V, b []byte, d *Decoder) {
		decoded := new(V)
		decode(decoded, b, d)
		parts.CopyAround(reflect.ValueOf(v).Elem(), reflect.ValueOf(decoded).Elem(), before)
	}
}

// restore makes the parts of wholes those that objects are, after others were forgotten.
func (b *Binding) restore(forgotten []*object) {
	lost := make(map[*whole]bool)
	for _, o := range forgotten {
		if o.whole != nil {
			lost[o.whole] = true
			o.whole.parts = nil
		}
	}
	for _, o := range b.objects {
		if lost[o.whole] {
			o.whole.parts.Add(parts.Of(reflect.ValueOf(o.value).Elem()))
		}
	}
}

// wholes finds the objects that others lie in.
type wholes struct {
	known   map[objectKey]*whole
	fields  within.Fields
	owners  map[*ktsnap.Map]int  // type number of what is in a map; negative for sections
	slab    map[uint64]int       // type number of objects that the program has allocated
	arena   []int                // numbers of sections that lie in the arena
	types   map[*ctype.Shape]int // numbers of shapes of the guest; -1 for those of no type
	indexed bool
	links   *within.Links
	reached *within.Reached // objects that only pointers tell of
}

// index finds out what is known to be where. The memo's lock is held.
func (x *wholes) index(b *Binding) {
	if x.indexed {
		return
	}
	x.indexed = true
	x.known = make(map[objectKey]*whole)
	x.owners = make(map[*ktsnap.Map]int)
	for _, m := range b.maps {
		if m.m != nil && m.err == nil && m.typ >= 0 {
			x.owners[m.m] = m.typ
		}
	}
	for i, s := range b.sections {
		if s.m == nil || s.err != nil {
			continue
		}
		x.owners[s.m] = -1 - i
		if ctype.IsArenaSection(s.Name) {
			x.arena = append(x.arena, i)
		}
	}
	x.slab, x.types = make(map[uint64]int), make(map[*ctype.Shape]int)
	for i := range b.snapshot.Kernel {
		if o := &b.snapshot.Kernel[i]; o.Allocated && o.Fault == ktsnap.FaultNone {
			if typ, ok := x.typeOf(b, o.Type); ok {
				x.slab[o.Addr] = typ
			}
		}
	}
}

// typeOf returns the number of the type that a shape of the guest is.
func (x *wholes) typeOf(b *Binding, have *ctype.Shape) (typ int, ok bool) {
	if have == nil {
		return 0, false
	}
	typ, known := x.types[have]
	if !known {
		typ = b.typeLike(have.Stripped())
		x.types[have] = typ
	}
	return typ, typ >= 0
}

// typeLike returns the number of the type that is bound to a shape, or else of one
// that is called the same; -1 if there is none.
func (b *Binding) typeLike(have *ctype.Shape) int {
	alike := -1
	for t := range b.types {
		switch s := b.types[t].shape; {
		case s == nil:
		case s.Stripped() == have:
			return t
		case alike < 0 && have.Name != "" && ctype.Spell(s.Stripped()) == ctype.Spell(have) && s.Size == have.Size:
			alike = t
		}
	}
	return alike
}

// at returns the whole that the object with a key lies in, and the Go field that
// it is. It is nil if the object lies in none, or is no field of it.
func (x *wholes) at(b *Binding, key objectKey, size int, t reflect.Type) (*whole, reflect.Value) {
	x.index(b)
	for _, root := range x.roots(b, key.addr) {
		if root == key {
			return nil, reflect.Value{}
		}
		if w, field, ok := x.inside(b, root, key.addr, t); ok {
			return w, field
		}
	}
	if x.links == nil {
		x.links = b.links()
	}
	if !x.links.Hold(t) {
		return nil, reflect.Value{}
	}
	if x.reached == nil {
		x.reached = x.links.Reach(b.eachRoot)
	}
	for _, o := range x.reached.Around(key.addr, size, t) {
		root := objectKey{addr: o.Addr, typ: o.Type}
		if root == key {
			return nil, reflect.Value{}
		}
		if w, field, ok := x.inside(b, root, key.addr, t); ok {
			return w, field
		}
	}
	return nil, reflect.Value{}
}

// inside returns the object root, and its field of type t at an address.
func (x *wholes) inside(b *Binding, root objectKey, addr uint64, t reflect.Type) (*whole, reflect.Value, bool) {
	w := x.known[root]
	if w == nil {
		if w = b.newWhole(root); w == nil {
			return nil, reflect.Value{}, false
		}
	}
	field, ok := x.fields.At(w.value.Elem(), w.want, w.have, int(addr-root.addr), t)
	if ok {
		x.known[root] = w
	}
	return w, field, ok
}

// newWhole returns the object with a key: what was decoded, or memory for it.
func (b *Binding) newWhole(key objectKey) *whole {
	w := &whole{key: key, want: b.shapeOf(key.typ)}
	if o := b.memo[key]; o != nil {
		w.value, w.have = reflect.ValueOf(o.value), o.shape
		return w
	}
	t := b.layout.goType(key.typ)
	if t == nil {
		return nil
	}
	if w.value = reflect.New(t); key.typ < 0 {
		w.have = b.sections[-1-key.typ].shape
	} else {
		w.have = b.types[key.typ].shape
	}
	if w.have == nil {
		return nil
	}
	return w
}

// roots are the objects that are known to be around an address: an entry of a map, a section or
// the element of a large variable of it, an object that the program has allocated.
func (x *wholes) roots(b *Binding, addr uint64) []objectKey {
	for _, i := range x.arena {
		if s := b.sections[i]; addr-s.Base < uint64(s.Size) {
			return x.variable(b, i, addr, s.Base)
		}
	}
	s, ok := b.memory().Span(addr)
	if !ok {
		return nil
	}
	if s.Owner == nil {
		if typ, known := x.slab[s.Start]; known {
			return []objectKey{{addr: s.Start, typ: typ}}
		}
		return nil
	}
	if len(s.Owner.Extents) > 0 {
		return nil
	}
	typ, known := x.owners[s.Owner]
	if !known {
		if typ, known = x.typeOf(b, s.Owner.Value); !known {
			return nil
		}
	}
	start := addr - (addr-s.Start)%uint64(s.Owner.Stride)
	if typ < 0 {
		return x.variable(b, -1-typ, addr, start)
	}
	return []objectKey{{addr: start, typ: typ}}
}

// variable returns the section that begins at an address, or the element of a
// variable of it that is read element by element.
func (x *wholes) variable(b *Binding, section int, addr, start uint64) []objectKey {
	s, t := b.sections[section], b.layout.goType(-1-section)
	if t == nil {
		return nil
	}
	offset := int(addr - start)
	for _, f := range x.fields.Of(b.shapes.sections[section], s.shape) {
		if offset < f.Offset || offset >= f.Offset+f.Have.Size || !isArray(f.Want) || t.Field(f.Index).Type.Kind() != reflect.Struct {
			continue
		}
		typ, ok := b.shapes.number(f.Want.Underlying().Elem)
		if elem := f.Have.Underlying().Elem; ok && elem.Size > 0 {
			return []objectKey{{addr: addr - uint64((offset-f.Offset)%elem.Size), typ: typ}}
		}
	}
	return []objectKey{{addr: start, typ: -1 - section}}
}

// links are the pointers of the layout's types.
func (b *Binding) links() *within.Links {
	l := within.Layout{Lies: b.layout.embedding(), Fields: &b.wholes.fields, Number: b.shapes.number}
	for t := range b.types {
		l.Types = append(l.Types, within.Type{Go: b.layout.goType(t), Want: b.shapes.types[t], Have: b.types[t].shape})
	}
	for i, s := range b.sections {
		l.Sections = append(l.Sections, within.Type{Go: b.layout.goType(-1 - i), Want: b.shapes.sections[i], Have: s.shape})
	}
	return within.NewLinks(&l, b.memory())
}

// eachRoot calls visit with the values that nothing has to lead to, of the types
// that are asked for.
func (b *Binding) eachRoot(asked func(typ int) bool, visit func(typ int, raw []byte)) {
	for _, m := range b.maps {
		if m.m != nil && m.err == nil && m.typ >= 0 && asked(m.typ) {
			m.Each(func(raw []byte) { visit(m.typ, raw) })
		}
	}
	for i, s := range b.sections {
		if s.m != nil && s.err == nil && asked(-1-i) {
			s.Each(func(raw []byte) { visit(-1-i, raw) })
		}
	}
	for addr, typ := range b.wholes.slab {
		if raw, ok := b.memory().Read(addr, b.types[typ].shape.Size); ok {
			visit(typ, raw)
		}
	}
}
