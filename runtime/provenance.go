package runtime

import (
	"cmp"
	"fmt"
	"reflect"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/internal/convert"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// This file tells where decoded values come from. Values carry nothing of it
// themselves, so that they compare with literals: it is found by the address
// of the Go value among the objects that a binding has handed out.

// Bound is what a snapshot is read through: the Snap of a generated package, or its [Binding].
type Bound interface{ Binding() *Binding }

// Binding returns b, so that a binding is as good as the Snap that has it.
func (b *Binding) Binding() *Binding { return b }

// Addr returns the address in the guest of the value that p points to: a value that was read
// through snap, or a field of one. It is 0 if the snapshot does not say where the value was. It
// fails if p points to anything else, such as a copy.
func Addr(snap Bound, p any) uint64 { return snap.Binding().locate("Addr", p).addr() }

// Path returns how the value that p points to was reached, such as
// task_ctxs[1234].stats.run_buckets[2]. It fails as [Addr] does.
func Path(snap Bound, p any) string { return snap.Binding().locate("Path", p).path() }

// Raw returns the bytes in the guest of the value that p points to, in the guest's layout and
// byte order; for a bitfield the bytes that hold it. It fails as [Addr] does.
func Raw(snap Bound, p any) []byte {
	w := snap.Binding().locate("Raw", p)
	return w.o.raw[w.offset : w.offset+w.size : w.offset+w.size]
}

// Pointee is a pointer in the guest: its value, and where it leads.
type Pointee struct {
	Value uint64 // as the program stored it
	Addr  uint64 // where it leads: Value, or the user address if that leads into an arena

	// Err is nil if the pointer was followed, and otherwise says why the Go
	// pointer is nil: a [*ktsnap.NullError], [*ktsnap.NotCapturedError], [*ktsnap.NotFollowedError], [*ktsnap.NotBoundError] or
	// [*ktsnap.ContradictionError].
	Err error
}

// PointerAt tells about the pointer in the field that p points to. It fails as [Addr] does.
func PointerAt[T any](snap Bound, p **T) Pointee {
	w := snap.Binding().locate("PointerAt", p)
	return w.pointee(*p != nil)
}

// where is a place in an object.
type where struct {
	b          *Binding
	o          *object
	want, have *ctype.Shape  // of the value there: generated and the guest's
	offset     int           // bytes from the start of the object, in the guest
	size       int           // bytes, in the guest
	steps      string        // from the object: .stats[2]
	missing    string        // it is a member that the guest's kernel lacks, and why
	member     *ctype.Member // the guest's, if the value is one
}

func (w *where) addr() uint64 {
	if w.o.key.source != 0 {
		return 0
	}
	return w.o.key.addr + uint64(w.offset)
}

func (w *where) path() string { return w.b.path(w.o) + w.steps }

// pointee finds out what became of the pointer at w.
func (w *where) pointee(followed bool) Pointee {
	b := w.b
	place := ctype.IntPlace{Bits: 8 * w.size}
	value := place.Load(w.o.raw[w.offset:])
	if value == 0 {
		return Pointee{Err: &ktsnap.NullError{}}
	}
	p := Pointee{Value: value, Addr: b.memory().Canonical(value)}
	if !followed {
		p.Err = b.whyNil(p.Addr, w.want)
	}
	return p
}

// whyNil says why a pointer of type want that is not NULL was not followed.
func (b *Binding) whyNil(addr uint64, want *ctype.Shape) error {
	target := want.Underlying().Elem
	for t, s := range b.shapes.types {
		if target == nil || s.Stripped() != target.Stripped() {
			continue
		}
		bound := &b.types[t]
		if bound.shape == nil {
			return &ktsnap.NotBoundError{Type: ctype.Spell(target), Reason: bound.why}
		}
		if err := b.snapshot.Outgrown(addr, bound.shape); err != nil {
			return err
		}
		if _, captured := b.memory().Read(addr, bound.shape.Size); captured {
			return &ktsnap.NotFollowedError{Addr: addr, Limit: b.limitReached()}
		}
	}
	return b.memory().Missing(want.Underlying(), addr, target)
}

// limitReached returns the limit of objects if a read has reached it, and 0 if none has.
func (b *Binding) limitReached() int {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.limited {
		return b.options.maxObjects
	}
	return 0
}

// locate finds the value that p points to, or fails.
func (b *Binding) locate(op string, p any) *where {
	v := reflect.ValueOf(p)
	if v.Kind() == reflect.Pointer && !v.IsNil() {
		w := b.search(v)
		if w != nil && w.missing != "" && op != opAbsent {
			b.fail(&ktsnap.Error{Op: op, Path: w.path(), Err: &ktsnap.FieldAbsentError{Field: ctype.Spell(w.o.shape) + w.steps, Reason: w.missing}})
		}
		if w != nil {
			return w
		}
	}
	b.fail(&ktsnap.Error{Op: op, Err: &UntrackedError{Type: fmt.Sprintf("%T", p)}})
	return nil
}

// search finds the value of the pointer's type at its address. One object at most
// holds it in Go's memory, but for parts of one that were decoded before the rest:
// what is in that is called after it from then on.
func (b *Binding) search(p reflect.Value) *where {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var part *where
	for _, o := range b.objects {
		value := reflect.ValueOf(o.value)
		w := &where{b: b, o: o, want: b.shapeOf(o.key.typ), have: o.shape, size: len(o.raw)}
		offset := p.Pointer() - value.Pointer()
		if part != nil && o.whole != nil {
			continue
		}
		if offset != 0 && offset >= value.Type().Elem().Size() {
			if found := w.inSlices(value.Elem(), p); found != nil {
				return found
			}
			continue
		}
		if !w.descend(value.Type().Elem(), p.Type().Elem(), offset) {
			continue
		}
		if o.whole == nil {
			return w
		}
		part = w
	}
	return part
}

// shapeOf is the shape that a type number stands for: that of a section if it is negative.
func (b *Binding) shapeOf(typ int) *ctype.Shape {
	if typ < 0 {
		return b.shapes.sections[-1-typ]
	}
	return b.shapes.types[typ]
}

// descend goes from a value of type t to the value of type target that is
// offset bytes into it, if there is one.
func (w *where) descend(t, target reflect.Type, offset uintptr) bool {
	for range ctype.MaxNesting {
		if t == target && offset == 0 {
			return true
		}
		switch t.Kind() {
		case reflect.Struct:
			i, ok := fieldAt(t, offset)
			if !ok || !w.enterField(i) {
				return false
			}
			offset -= t.Field(i).Offset
			t = t.Field(i).Type
		case reflect.Array:
			if !w.enterElement(int(offset / t.Elem().Size())) {
				return false
			}
			t, offset = t.Elem(), offset%t.Elem().Size()
		default:
			return false
		}
	}
	return false
}

// fieldAt returns the number of the field that holds the byte at an offset.
func fieldAt(t reflect.Type, offset uintptr) (i int, ok bool) {
	for i := range t.NumField() {
		if f := t.Field(i); offset >= f.Offset && offset-f.Offset < f.Type.Size() {
			return i, true
		}
	}
	return 0, false
}

// enterField goes to field i of a generated struct.
func (w *where) enterField(i int) bool {
	want, have := w.want.Underlying(), w.have.Underlying()
	if k := convert.Class(want); k != ctype.KindStruct && k != ctype.KindSection {
		return false
	}
	fields := want.Fields()
	if i >= len(fields) {
		return false
	}
	if why, lacks := w.o.absent[convert.Member{In: want, Name: fields[i].Name}]; lacks || w.missing != "" {
		w.want, w.have, w.size = fields[i].Type, fields[i].Type, 0
		w.steps += "." + fields[i].Name
		w.missing = cmp.Or(w.missing, why)
		return true
	}
	for _, m := range have.Fields() {
		if m.Name == fields[i].Name {
			w.want, w.have = fields[i].Type, m.Type
			w.offset += m.Offset
			w.size = m.EndIn(w.size) - m.Offset
			w.steps += "." + m.Name
			w.member = &m
			return true
		}
	}
	return false
}

// enterElement goes to element i of a generated array.
func (w *where) enterElement(i int) bool {
	want, have := w.want.Underlying(), w.have.Underlying()
	if want.Kind != ctype.KindArray || have.Kind != ctype.KindArray {
		return false
	}
	w.want, w.have, w.size, w.member = want.Elem, have.Elem, have.Elem.Size, nil
	w.offset += i * have.Elem.Size
	w.steps += fmt.Sprintf("[%d]", i)
	return true
}
