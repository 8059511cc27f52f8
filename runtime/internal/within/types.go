package within

import "reflect"

// Types tells which Go types lie in others.
type Types struct {
	in map[reflect.Type]map[reflect.Type]bool
} // by the type that they lie in

// NewTypes looks at types, of which some may be nil.
func NewTypes(types ...reflect.Type) *Types {
	x := &Types{in: make(map[reflect.Type]map[reflect.Type]bool)}
	for _, t := range types {
		if t != nil {
			x.collect(t)
		}
	}
	return x
}

// In returns the types that lie in a type.
func (x *Types) In(t reflect.Type) map[reflect.Type]bool { return x.in[t] }

// LiesInAny tells whether a type lies in another.
func (x *Types) LiesInAny(t reflect.Type) bool {
	for _, in := range x.in {
		if in[t] {
			return true
		}
	}
	return false
}

// collect returns the types that lie in a type. Go types have no circles but
// through pointers, maps and slices.
func (x *Types) collect(t reflect.Type) map[reflect.Type]bool {
	if known, ok := x.in[t]; ok {
		return known
	}
	in := make(map[reflect.Type]bool)
	add := func(t reflect.Type) {
		in[t] = true
		for inner := range x.collect(t) {
			in[inner] = true
		}
	}
	switch t.Kind() {
	case reflect.Array:
		add(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if t.Field(i).IsExported() {
				add(t.Field(i).Type)
			}
		}
	}
	x.in[t] = in
	return in
}
