// Package within finds objects of a guest that lie in others, and the Go values for
// them: the fields of the others' values.
//
// Objects that nothing but pointers tells of, as those of an arena, are found first:
// a pointer to one of them can be anywhere, so that all that lead to such objects are
// followed once ([Links.Reach]), by the shapes, without decoding anything.
package within

import (
	"reflect"

	"github.com/ktgen/ktgen/runtime/ctype"
)

// Type is a type in generated code and in the guest.
type Type struct {
	Go         reflect.Type // nil if nothing decodes its values
	Want, Have *ctype.Shape // Have is nil if the guest lacks it
}

// Layout has the types whose values have pointers.
type Layout struct {
	Types    []Type
	Sections []Type // the number of the first is -1, of the next -2
	Number   func(*ctype.Shape) (typ int, ok bool)
	Lies     *Types
	Fields   *Fields
}

func (l *Layout) at(typ int) *Type {
	if typ < 0 {
		return &l.Sections[-1-typ]
	}
	return &l.Types[typ]
}
