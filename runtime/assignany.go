package runtime

import (
	"errors"
	"reflect"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/internal/fixture"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// This file makes bytes of Go values that no generated type says how to lay out.

// AssignAny is [Assign] for a value that was found by its path. What is given is a
// number, bool or text as the shape has it: an enum takes the name of an enumerator,
// too, an array of char a string, another array a slice that is no longer, and a
// struct a map from names of members. The rest of arrays and structs becomes zero.
func AssignAny(v ktsnap.Value, given any) (place ktsnap.Location, value, mask []byte, err error) {
	place, err = v.Location()
	if err != nil {
		return place, nil, nil, err
	}
	value = make([]byte, place.Size)
	e := fixture.NewEncoder(ownTypes)
	from := reflect.ValueOf(given)
	if place.Bits > 0 {
		at := ctype.IntPlace{First: place.BitOffset, Bits: place.Bits, Signed: place.Shape.Underlying().Signed}
		mask = make([]byte, place.Size)
		at.Store(mask, ^uint64(0))
		err = e.AnyInteger(from, place.Shape, at, value)
	} else {
		err = e.Any(from, place.Shape, value, ctype.MaxNesting)
	}
	if wrong := (*FixtureError)(nil); errors.As(err, &wrong) {
		err = &AssignError{Path: place.Path + wrong.Path, Err: wrong.Err}
	}
	return place, value, mask, err
}
