// Package govalue copies Go values of any type, and tells what they hold.
package govalue

import "reflect"

// CopyTo copies a value to another of its type, and nothing that the two would share
// but what pointers lead to. Both are pointers to values.
func CopyTo(to, from any) {
	v := reflect.ValueOf(to).Elem()
	v.Set(reflect.ValueOf(from).Elem())
	unshare(v)
}

// unshare gives v slices of its own.
func unshare(v reflect.Value) {
	switch v.Kind() {
	case reflect.Slice:
		own := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(own, v)
		if v.CanSet() && !v.IsNil() {
			v.Set(own)
		}
		fallthrough
	case reflect.Array:
		if kind := v.Type().Elem().Kind(); kind != reflect.Struct && kind != reflect.Array {
			return
		}
		for i := range v.Len() {
			unshare(v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				unshare(v.Field(i))
			}
		}
	}
}

// HasPointer tells whether values of a type hold Go pointers. A type that is nested
// deeper than depth counts as one that does.
func HasPointer(t reflect.Type, depth int) bool {
	switch {
	case t.Kind() == reflect.Pointer || depth == 0:
		return true
	case t.Kind() == reflect.Array:
		return HasPointer(t.Elem(), depth-1)
	case t.Kind() != reflect.Struct:
		return false
	}
	for i := range t.NumField() {
		if HasPointer(t.Field(i).Type, depth-1) {
			return true
		}
	}
	return false
}
