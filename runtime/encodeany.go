package runtime

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/nearest"
)

// FixtureError is a value that a fixture cannot hold, as the guest's type has
// no room for it.
type FixtureError struct {
	Path string // task_ctxs[7].comm, or behind pointers task_ctxs[7] -> struct task_stats.pid
	Err  error
}

func (e *FixtureError) Error() string { return fmt.Sprintf("fixture: %s: %v", e.Path, e.Err) }

// Unwrap returns Err.
func (e *FixtureError) Unwrap() error { return e.Err }

// any writes a value into b, which is zero.
func (e *encoder) any(v reflect.Value, s *ctype.Shape, b []byte, depth int) error {
	u := s.Underlying()
	if u == nil || depth == 0 {
		return &FixtureError{Err: errors.New("it has no type that values could be encoded by")}
	}
	for v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	if !v.IsValid() {
		return &FixtureError{Err: fmt.Errorf("nil is no value of a %s", ctype.Spell(s))}
	}
	switch u.Kind {
	case ctype.KindInt, ctype.KindBool, ctype.KindChar, ctype.KindEnum, ctype.KindPointer:
		return e.anyInteger(v, s, ctype.IntPlace{Bits: 8 * u.Size, Signed: u.Signed}, b)
	case ctype.KindFloat:
		if v.CanFloat() && (u.Size == 4 || u.Size == 8) {
			if u.Size == 4 {
				v = reflect.ValueOf(float32(v.Float()))
			}
			return e.value(v, u, b)
		}
	case ctype.KindArray:
		return e.anyArray(v, s, b, depth)
	case ctype.KindStruct, ctype.KindUnion, ctype.KindSection:
		return e.anyMembers(v, s, b, depth)
	}
	return &FixtureError{Err: fmt.Errorf("a Go %s is no value of a %s", v.Type(), ctype.Spell(s))}
}

// anyInteger writes what C has as an integer.
func (e *encoder) anyInteger(v reflect.Value, s *ctype.Shape, at ctype.IntPlace, b []byte) error {
	u := s.Underlying()
	switch {
	case v.Kind() == reflect.Interface:
		return e.anyInteger(v.Elem(), s, at, b)
	case v.Kind() == reflect.Bool:
		if v.Bool() {
			at.Store(b, 1)
		}
		return nil
	case v.CanInt() || v.CanUint():
		var n uint64
		if v.CanInt() {
			n = uint64(v.Int())
		} else {
			n = v.Uint()
		}
		if u.Kind == ctype.KindBool && n > 1 {
			return &FixtureError{Err: fmt.Errorf("%v is neither true nor false", v)}
		}
		return e.integer(n, v.CanInt(), at, b)
	case v.Kind() == reflect.String && u.Kind == ctype.KindEnum:
		return enumerator(v.String(), s, at, b)
	}
	return &FixtureError{Err: fmt.Errorf("a Go %s is no value of a %s", kindOf(v), ctype.Spell(s))}
}

func kindOf(v reflect.Value) string {
	if !v.IsValid() {
		return "nil"
	}
	return v.Type().String()
}

// enumerator writes the value that a name of an enum stands for.
func enumerator(name string, s *ctype.Shape, at ctype.IntPlace, b []byte) error {
	var names []string
	for _, v := range s.Underlying().Values {
		if v.Name == name {
			at.Store(b, uint64(v.Value))
			return nil
		}
		names = append(names, v.Name)
	}
	return &FixtureError{Err: fmt.Errorf("%s has no enumerator %q%s", ctype.Spell(s), name, nearest.Hint(name, names))}
}

// anyArray writes a string into an array of char, or the elements of a slice.
func (e *encoder) anyArray(v reflect.Value, s *ctype.Shape, b []byte, depth int) error {
	u := s.Underlying()
	if v.Kind() == reflect.String {
		if u.Elem.Underlying().Kind != ctype.KindChar {
			return &FixtureError{Err: fmt.Errorf("a text is no value of a %s", ctype.Spell(s))}
		}
		return e.text(v.String(), u, b)
	}
	if v.Kind() != reflect.Slice && v.Kind() != reflect.Array {
		return &FixtureError{Err: fmt.Errorf("a Go %s is no value of a %s: give a slice, or set an element", v.Type(), ctype.Spell(s))}
	}
	size := u.Elem.Size
	if size <= 0 || v.Len() > len(b)/size {
		return &FixtureError{Err: fmt.Errorf("%d elements do not fit the %d of %s", v.Len(), len(b)/max(size, 1), ctype.Spell(s))}
	}
	for i := range v.Len() {
		if err := e.any(v.Index(i), u.Elem, b[i*size:][:size], depth-1); err != nil {
			return within(fmt.Sprintf("[%d]", i), err)
		}
	}
	return nil
}

// anyMembers writes the members of a struct that a map names.
func (e *encoder) anyMembers(v reflect.Value, s *ctype.Shape, b []byte, depth int) error {
	if v.Kind() != reflect.Map || v.Type().Key().Kind() != reflect.String {
		return &FixtureError{Err: fmt.Errorf("a Go %s is no value of a %s: give a map[string]any of its members, or set one", v.Type(), ctype.Spell(s))}
	}
	members := make(map[string]ctype.Member)
	var names []string
	for _, m := range s.Underlying().Fields() {
		members[m.Name] = m
		names = append(names, m.Name)
	}
	for _, key := range v.MapKeys() {
		m, ok := members[key.String()]
		if !ok {
			return &FixtureError{Err: fmt.Errorf("%s has no member %q%s", ctype.Spell(s), key, nearest.Hint(key.String(), names))}
		}
		var err error
		if m.Bits > 0 {
			err = e.anyInteger(v.MapIndex(key), m.Type, m.IntPlace(), b[m.Offset:])
		} else {
			err = e.any(v.MapIndex(key), m.Type, m.Bytes(b), depth-1)
		}
		if err != nil {
			return within("."+m.Name, err)
		}
	}
	return nil
}
