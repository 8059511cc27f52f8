package runtime

import (
	"reflect"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/internal/fixture"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// This file makes bytes of Go values that no generated type says how to lay out.

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
