package runtime

import (
	"reflect"
	"sync"
)

// This file finds the elements of slices among decoded values: of flexible arrays,
// which are elsewhere in Go's memory than what they end.

// inSlices looks for what p points to in the slices of v, which is at w. It is nil
// if it is in none.
func (w *where) inSlices(v, p reflect.Value) *where {
	if !hasSlices(v.Type()) {
		return nil
	}
	switch v.Kind() {
	case reflect.Slice:
		if size := v.Type().Elem().Size(); v.Len() > 0 && size > 0 {
			if offset := p.Pointer() - v.Pointer(); offset < uintptr(v.Len())*size {
				return w.elementOf(v.Type(), p.Type().Elem(), offset)
			}
		}
		return w.inElements(v, p)
	case reflect.Array:
		return w.inElements(v, p)
	case reflect.Struct:
		for i := range v.NumField() {
			in := *w
			if !hasSlices(v.Field(i).Type()) || !in.enterField(i) {
				continue
			}
			if found := in.inSlices(v.Field(i), p); found != nil {
				return found
			}
		}
	}
	return nil
}

// inElements looks in the slices of an array's or slice's elements.
func (w *where) inElements(v, p reflect.Value) *where {
	if !hasSlices(v.Type().Elem()) {
		return nil
	}
	for i := range v.Len() {
		if in := *w; in.enterElement(i) {
			if found := in.inSlices(v.Index(i), p); found != nil {
				return found
			}
		}
	}
	return nil
}

// elementOf goes to the value of a type at an offset of the elements of a slice.
func (w *where) elementOf(slice, target reflect.Type, offset uintptr) *where {
	size := slice.Elem().Size()
	if in := *w; in.enterElement(int(offset/size)) && in.descend(slice.Elem(), target, offset%size) {
		return &in
	}
	return nil
}

// withSlices is which types of values have slices in them.
var withSlices sync.Map // reflect.Type to bool

func hasSlices(t reflect.Type) (has bool) {
	if known, ok := withSlices.Load(t); ok {
		return known.(bool)
	}
	switch t.Kind() {
	case reflect.Slice:
		has = true
	case reflect.Array:
		has = hasSlices(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			has = has || hasSlices(t.Field(i).Type)
		}
	}
	withSlices.Store(t, has)
	return has
}
