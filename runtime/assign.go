package runtime

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/internal/fixture"
	"github.com/ktgen/ktgen/runtime/internal/govalue"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// LocationOf returns the place of the value that p points to: a value that was
// read through snap, or a field of one. It fails as [Addr] does, and if the
// snapshot does not say where the value was.
func LocationOf(snap Bound, p any) ktsnap.Location {
	b := snap.Binding()
	w := b.locate("LocationOf", p)
	path, addr := w.path(), w.addr()
	if addr == 0 {
		b.fail(&ktsnap.Error{Op: "LocationOf", Path: path, Err: &ktsnap.NoLocationError{}})
	}
	at := b.memory().Location(addr)
	at.Path, at.Size, at.Shape = path, w.size, w.have
	if m := w.member; m != nil {
		at.Bits, at.BitOffset = int(m.Bits), int(m.BitOffset)
	}
	return at
}

// AssignError is a value that a place of the guest cannot hold.
type AssignError struct {
	Path string // of the member that it does not fit into
	Err  error
}

func (e *AssignError) Error() string { return fmt.Sprintf("set %s: %v", e.Path, e.Err) }

// Unwrap returns Err.
func (e *AssignError) Unwrap() error { return e.Err }

// Assign returns the place of the value that p points to, and the bytes that make it v.
// For a bitfield these are the bytes that hold it, with a mask of its bits; for all others
// mask is nil. A pointer can become NULL: v is nil. It fails as [LocationOf] does. The error
// is an [*AssignError] if v does not fit, is another pointer, holds pointers, or is a struct
// that the guest lays out differently than the generated code.
func Assign[T any](snap Bound, p *T, v T) (place ktsnap.Location, value, mask []byte, err error) {
	place = LocationOf(snap, p)
	w := snap.Binding().locate("Assign", p)
	if !w.sameLayout() {
		return place, nil, nil, &AssignError{Path: place.Path, Err: fmt.Errorf("the guest lays out %s differently than the generated code: set its members one by one, or regenerate", ctype.Spell(w.have))}
	}
	value, mask, err = encodeAt(&place, reflect.ValueOf(v))
	return place, value, mask, err
}

// sameLayout tells whether the fields of the generated type are the members of
// the guest's. Numbers may differ in size.
func (w *where) sameLayout() bool {
	want, have := w.want.Underlying(), w.have.Underlying()
	return want.Kind != ctype.KindStruct && want.Kind != ctype.KindUnion && want.Kind != ctype.KindArray || ctype.SameMembers(want, have)
}

// encodeAt returns the bytes that make the value at a place v, and the mask of a bitfield.
func encodeAt(p *ktsnap.Location, v reflect.Value) (value, mask []byte, err error) {
	switch null := v.Kind() == reflect.Pointer && v.IsNil(); {
	case null:
		return make([]byte, p.Size), nil, nil
	case govalue.HasPointer(v.Type(), ctype.MaxNesting):
		return nil, nil, &AssignError{Path: p.Path, Err: fmt.Errorf("a %s holds pointers, whose objects would have to be in the guest: set a pointer to nil, or to an address by its path, and other members one by one", v.Type())}
	}
	return encodeWith(p, func(e *fixture.Encoder, m ctype.Member, b []byte) error {
		if m.Bits > 0 {
			return e.Member(v, m, b)
		}
		return e.Value(v, m.Type, b)
	})
}

// encodeWith returns the bytes at a place, as encode makes them of what the place is,
// and the mask of a bitfield.
func encodeWith(p *ktsnap.Location, encode func(e *fixture.Encoder, m ctype.Member, b []byte) error) (value, mask []byte, err error) {
	value = make([]byte, p.Size)
	m := ctype.Member{Type: p.Shape, Bits: uint8(p.Bits), BitOffset: uint8(p.BitOffset)}
	if p.Bits > 0 {
		mask = make([]byte, p.Size)
		m.IntPlace().Store(mask, ^uint64(0))
	}
	err = encode(fixture.NewEncoder(ownTypes), m, value)
	if wrong := (*FixtureError)(nil); errors.As(err, &wrong) {
		err = &AssignError{Path: p.Path + wrong.Path, Err: wrong.Err}
	}
	return value, mask, err
}

// AssignAny is [Assign] for a value that was found by its path. What is given is a number,
// bool or text as the shape has it. An enum also takes the name of an enumerator. An array
// of char takes a string, another array a slice of at most its length, a struct a map from
// names of members, a pointer an address, or nil for NULL. The rest of arrays and structs becomes zero.
func AssignAny(v ktsnap.Value, given any) (place ktsnap.Location, value, mask []byte, err error) {
	place, err = v.Location()
	if err != nil {
		return place, nil, nil, err
	}
	from := reflect.ValueOf(given)
	value, mask, err = encodeWith(&place, func(e *fixture.Encoder, m ctype.Member, b []byte) error {
		if m.Bits > 0 {
			return e.AnyInteger(from, m.Type, m.IntPlace(), b)
		}
		return e.Any(from, m.Type, b, ctype.MaxNesting)
	})
	return place, value, mask, err
}
