package runtime

// keyIndex finds the entries of a map by their decoded keys.
type keyIndex[K comparable] struct {
	keys    []K
	entries map[K]int32 // the entry, or -n for n entries with that key
}

func (x *keyIndex[K]) add(key K, entry int32) {
	switch at, exists := x.entries[key]; {
	case !exists:
		x.entries[key] = entry
	case at >= 0:
		x.entries[key] = -2
	default:
		x.entries[key] = at - 1
	}
}
