package faultline

import "reflect"

// Way is the objects that were read, by pointers to them: what a statement selects leads
// from one to another.
type Way []reflect.Value

// Score rates how well names, selected one from another, explain that field f
// of an object was dereferenced; ok is false if they do not. It is 0 if they select
// something that the pointee has, 1 if they select that from the field, and more if the
// names before lead to the object.
func (w Way) Score(object reflect.Value, f reflect.StructField, names []string) (score int, ok bool) {
	last := names[len(names)-1]
	if f.Type.Elem().Kind() != reflect.Struct {
		if last != f.Name { // *task.Count
			return 0, false
		}
		return 1 + w.length(object, names[:len(names)-1]), true
	}
	if _, has := f.Type.Elem().FieldByName(last); !has {
		return 0, false
	}
	if len(names) < 2 {
		return 0, true
	}
	if names[len(names)-2] != f.Name {
		return 0, false
	}
	return 1 + w.length(object, names[:len(names)-2]), true
}

// length counts how many of the last names led to an object, through
// pointers of other objects.
func (w Way) length(object reflect.Value, names []string) int {
	for n := len(names) - 1; n >= 0; n-- {
		if object = w.holder(object, names[n]); !object.IsValid() {
			return len(names) - 1 - n
		}
	}
	return len(names)
}

// holder returns an object whose field of that name points to the target, the zero Value
// if there is none.
func (w Way) holder(target reflect.Value, name string) reflect.Value {
	for _, candidate := range w {
		v := candidate.Elem()
		if v.Kind() != reflect.Struct {
			continue
		}
		f := v.FieldByName(name)
		if f.IsValid() && f.Kind() == reflect.Pointer && f.Type() == target.Type() && f.Pointer() == target.Pointer() {
			return candidate
		}
	}
	return reflect.Value{}
}
