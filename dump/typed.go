package dump

import (
	"fmt"
	"iter"
	"reflect"
	"strconv"
)

// DiffValues ranges over the differences of two Go values of one type, such as
// two values of a generated struct, by the names of their fields in Go. Pointers
// are followed, each pair once. It panics if V has channels or functions that
// are not nil; generated types have none.
func DiffValues[V any](before, after V, masks ...string) iter.Seq[Change] {
	return func(yield func(Change) bool) {
		d := &typedDiffer{differ: differ{masks: masks, yield: yield}, seen: make(map[[2]uintptr]bool)}
		d.values("", reflect.ValueOf(&before).Elem(), reflect.ValueOf(&after).Elem())
	}
}

type typedDiffer struct {
	differ
	seen map[[2]uintptr]bool // pairs of pointers that are, or were, compared
}

func (d *typedDiffer) values(path string, a, b reflect.Value) {
	if d.done {
		return
	}
	switch a.Kind() {
	case reflect.Struct:
		d.structs(path, a, b)
	case reflect.Pointer, reflect.Interface:
		d.pointers(path, a, b)
	case reflect.Array, reflect.Slice:
		d.lists(path, a, b)
	case reflect.Map:
		d.maps(path, a, b)
	default:
		if !same(a, b) {
			d.change(path, a, b)
		}
	}
}

// structs compares fields, and of lists and trees the objects in them. What the
// types of package runtime read through is no part of a value.
func (d *typedDiffer) structs(path string, a, b reflect.Value) {
	if a.CanInterface() {
		if slice := a.MethodByName("Slice"); slice.IsValid() && slice.Type().NumIn() == 0 && slice.Type().NumOut() == 1 {
			d.lists(path, slice.Call(nil)[0], b.MethodByName("Slice").Call(nil)[0])
			return
		}
	}
	for i := range a.NumField() {
		f := a.Type().Field(i)
		if f.IsExported() || f.Type.Kind() != reflect.Pointer {
			d.values(path+"."+f.Name, a.Field(i), b.Field(i))
		}
	}
}

// same compares scalars; a NaN is what another NaN is.
func same(a, b reflect.Value) bool {
	return a.Equal(b) || a.CanFloat() && a.Float() != a.Float() && b.Float() != b.Float()
}

func (d *typedDiffer) change(path string, a, b reflect.Value) {
	d.report(Change{Path: trimDot(path), Old: goText(a), New: goText(b), What: "changed"})
}

// goText writes a value, also one of a field that is not exported.
func goText(v reflect.Value) string {
	text := fmt.Sprintf("%+v", v)
	if len(text) > maxLine {
		return text[:maxLine] + "..."
	}
	return text
}

func trimDot(path string) string {
	if len(path) > 0 && path[0] == '.' {
		return path[1:]
	}
	return path
}

func (d *typedDiffer) pointers(path string, a, b reflect.Value) {
	if a.IsNil() || b.IsNil() {
		if a.IsNil() != b.IsNil() {
			d.report(Change{Path: trimDot(path), Old: nilText(a), New: nilText(b), What: "changed"})
		}
		return
	}
	if a.Kind() == reflect.Interface {
		if a, b = a.Elem(), b.Elem(); a.Type() != b.Type() {
			d.change(path, a, b)
			return
		}
		d.values(path, a, b)
		return
	}
	pair := [2]uintptr{a.Pointer(), b.Pointer()}
	if pair[0] == pair[1] || d.seen[pair] {
		return
	}
	d.seen[pair] = true
	d.values(path, a.Elem(), b.Elem())
}

func nilText(v reflect.Value) string {
	if v.IsNil() {
		return "nil"
	}
	return v.Type().String()
}

func (d *typedDiffer) lists(path string, a, b reflect.Value) {
	for i := range min(a.Len(), b.Len()) {
		d.values(path+"["+strconv.Itoa(i)+"]", a.Index(i), b.Index(i))
	}
	if a.Len() != b.Len() {
		d.report(Change{Path: trimDot(path), Old: fmt.Sprintf("%d elements", a.Len()), New: fmt.Sprintf("%d elements", b.Len()), What: "changed"})
	}
}

func (d *typedDiffer) maps(path string, a, b reflect.Value) {
	for _, key := range a.MapKeys() {
		at := fmt.Sprintf("%s[%v]", path, key)
		if other := b.MapIndex(key); other.IsValid() {
			d.values(at, a.MapIndex(key), other)
		} else {
			d.report(Change{Path: trimDot(at), Old: goText(a.MapIndex(key)), What: "removed"})
		}
	}
	for _, key := range b.MapKeys() {
		if !a.MapIndex(key).IsValid() {
			d.report(Change{Path: trimDot(fmt.Sprintf("%s[%v]", path, key)), New: goText(b.MapIndex(key)), What: "added"})
		}
	}
}
