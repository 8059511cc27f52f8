// Package keyindex finds the entries of a map by their keys.
package keyindex

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
