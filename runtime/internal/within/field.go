package within

import (
	"reflect"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/internal/convert"
)

// Field is a member in a Go struct and in the guest.
type Field struct {
	Index      int // of the Go field
	Offset     int // bytes, in the guest
	Want, Have *ctype.Shape
}

// Fields finds the members of structs. The zero value is ready.
type Fields struct{ known map[convert.Pair][]Field }

// At returns the field of type t that is offset bytes into a value in the
// guest. Bitfields have no address, and elements of flexible arrays are in Go
// memory of their own. v can be set.
func (x *Fields) At(v reflect.Value, want, have *ctype.Shape, offset int, t reflect.Type) (reflect.Value, bool) {
	return x.at(v, want, have, offset, t, ctype.MaxNesting)
}

func (x *Fields) at(v reflect.Value, want, have *ctype.Shape, offset int, t reflect.Type, depth int) (reflect.Value, bool) {
	if offset == 0 && v.Type() == t {
		return v, true
	}
	w, h := want.Underlying(), have.Underlying()
	if w == nil || h == nil || depth == 0 {
		return v, false
	}
	switch {
	case w.Kind == ctype.KindArray && h.Kind == ctype.KindArray && h.Elem.Size > 0 && hasElements(v, w, h):
		if i := offset / h.Elem.Size; i < v.Len() {
			return x.at(v.Index(i), w.Elem, h.Elem, offset%h.Elem.Size, t, depth-1)
		}
	case v.Kind() == reflect.Struct && HasFields(w) && HasFields(h):
		return x.atMember(v, w, h, offset, t, depth)
	}
	return v, false
}

func (x *Fields) atMember(v reflect.Value, w, h *ctype.Shape, offset int, t reflect.Type, depth int) (reflect.Value, bool) {
	for _, f := range x.Of(w, h) {
		if f.Index < v.NumField() && offset >= f.Offset && offset-f.Offset < f.Have.Size {
			if field, ok := x.at(v.Field(f.Index), f.Want, f.Have, offset-f.Offset, t, depth-1); ok {
				return field, true
			}
		}
	}
	return v, false
}

// hasElements tells whether v has the elements of an array. Those of one that can have
// any length are made, if nothing was read of it yet.
func hasElements(v reflect.Value, want, have *ctype.Shape) bool {
	if v.Kind() != reflect.Slice {
		return v.Kind() == reflect.Array
	}
	if want.Len > 0 && v.IsNil() {
		v.Set(reflect.MakeSlice(v.Type(), have.Len, have.Len))
	}
	return want.Len > 0
}

// HasFields tells whether values of an underlying type are Go structs with its
// members as fields.
func HasFields(s *ctype.Shape) bool {
	k := convert.Class(s)
	return k == ctype.KindStruct || k == ctype.KindSection
}

// Of returns the fields of a struct of the layout that the guest's has at an
// address.
func (x *Fields) Of(want, have *ctype.Shape) []Field {
	key := convert.Pair{Want: want, Have: have}
	if known, ok := x.known[key]; ok {
		return known
	}
	members := make(map[string]ctype.Member)
	for _, m := range have.Fields() {
		if _, exists := members[m.Name]; !exists && m.Bits == 0 && m.Type != nil {
			members[m.Name] = m
		}
	}
	var places []Field
	for i, f := range want.Fields() {
		if m, ok := members[f.Name]; ok && f.Type != nil {
			places = append(places, Field{i, m.Offset, f.Type, m.Type})
		}
	}
	if x.known == nil {
		x.known = make(map[convert.Pair][]Field)
	}
	x.known[key] = places
	return places
}
