// Package keyindex finds the entries of a map by their keys.
package keyindex

import "reflect"

// Entries are the entries of a map by their keys: the number of the entry, or -n
// for n entries with that key.
type Entries[K comparable] map[K]int32

// Add adds an entry.
func (e Entries[K]) Add(key K, entry int32) {
	switch at, exists := e[key]; {
	case !exists:
		e[key] = entry
	case at >= 0:
		e[key] = -2
	default:
		e[key] = at - 1
	}
}

// Index finds the entries of a map by their decoded keys.
type Index[K comparable] struct {
	Keys []K // in the order of the entries
	// Complete gives parts of a key the values that follow from its others; nil if none do.
	Complete func(K) K

	entries Entries[K]
	plain   func(K) K // nil if keys are compared as they are
}

// New returns an index of n entries, whose keys are to be set and entered. forget is called
// with a pointer to each part of a key. If it returns true, it has removed from the part what
// keys need not have in common; if it returns false, it has left the part as it was.
func New[K comparable](n int, forget func(part any) bool) *Index[K] {
	x := &Index[K]{Keys: make([]K, n), entries: make(Entries[K], n)}
	if forget != nil && each(reflect.ValueOf(new(K)).Elem(), forget) {
		x.plain = func(key K) K {
			each(reflect.ValueOf(&key).Elem(), forget)
			return key
		}
	}
	return x
}

// Enter makes the entry with number i one that is found.
func (x *Index[K]) Enter(i int) { x.entries.Add(x.bare(x.Keys[i]), int32(i)) }

// Find returns the entry with a key: its number, or -n if there are n.
func (x *Index[K]) Find(key K) (entry int32, exists bool) {
	entry, exists = x.entries[x.bare(key)]
	if !exists && x.Complete != nil {
		entry, exists = x.entries[x.bare(x.Complete(key))]
	}
	return entry, exists
}

// Has tells whether the entry with number i has a key.
func (x *Index[K]) Has(i int, key K) bool {
	bare := x.bare(x.Keys[i])
	return bare == x.bare(key) || x.Complete != nil && bare == x.bare(x.Complete(key))
}

func (x *Index[K]) bare(key K) K {
	if x.plain == nil {
		return key
	}
	return x.plain(key)
}

// each calls forget for the parts of a key, and tells whether it returned true for one.
func each(v reflect.Value, forget func(part any) bool) (known bool) {
	if !v.CanInterface() { // what another package keeps for itself
		return false
	}
	if forget(v.Addr().Interface()) {
		return true
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			known = each(v.Field(i), forget) || known
		}
	case reflect.Array:
		for i := range v.Len() {
			known = each(v.Index(i), forget) || known
		}
	}
	return known
}
