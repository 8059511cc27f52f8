package runtime

import (
	"iter"

	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// Array reads a BPF array map, one CPU's part of a per-CPU array, or a large
// array in a global section. Entries are numbered from 0.
type Array[V any] struct {
	s       *source
	slot    int
	decode  Decode[V]
	partial bool
}

// NewArray returns the array map with index i in the layout.
func NewArray[V any](b *Binding, i int, decode Decode[V]) Array[V] {
	return Array[V]{s: &b.readable(i).source, decode: decode}
}

// at returns map i of the layout, or behind those one in a map of maps.
func (b *Binding) at(i int) *boundMap {
	if i < len(b.maps) {
		return b.maps[i]
	}
	return b.inner.at(i - len(b.maps))
}

// readable returns map i, or fails if it cannot be read.
func (b *Binding) readable(i int) *boundMap {
	m := b.at(i)
	if m.err != nil {
		m.fail("read", m.err)
	}
	return m
}

// Len returns the number of entries.
func (a Array[V]) Len() int {
	a.whole("Len")
	return a.s.N
}

// At returns entry i. The same entry is always the same pointer.
func (a Array[V]) At(i int) *V {
	if i < 0 || i >= a.s.N {
		a.s.failIndex("At", i, a.slot)
		return nil
	}
	return load(a.s, "At", i, a.slot, a.decode)
}

func (s *source) failIndex(op string, i, slot int) {
	if i >= 0 && (s.Status.Total > i || s.N == 0) {
		s.require(op)
	}
	s.b.fail(&ktsnap.Error{Op: op, Path: s.Path(i, slot), Err: &ktsnap.IndexOutOfRangeError{Map: s.Name, Index: i, Len: s.N}})
}

// All ranges over the entries, as values: unlike At it keeps none of them.
func (a Array[V]) All() iter.Seq2[int, V] {
	return func(yield func(int, V) bool) {
		a.whole("All")
		a.scan("All", func(i int, v *V) bool { return yield(i, *v) })
	}
}

// scan calls f for each entry until it returns false. The value it gets is
// overwritten by the next.
func (a Array[V]) scan(op string, f func(i int, v *V) bool) {
	r := newSourceReader(a.s, op, a.decode)
	finished := false
	defer func() {
		if !finished {
			r.interrupted()
		}
	}()
	for i := range a.s.N {
		if !f(i, r.read(i, a.slot)) {
			return
		}
	}
	finished = true
}

// Find returns the first entry that matches, and fails if there is none. The
// value that match gets is overwritten after the call.
func (a Array[V]) Find(match func(*V) bool) *V {
	found := -1
	a.scan("Find", func(i int, v *V) bool {
		if match(v) {
			found = i
		}
		return found < 0
	})
	if found < 0 {
		a.whole("Find")
		a.s.fail("Find", a.s.NoMatch("Find", a.slot))
		return nil
	}
	return load(a.s, "Find", found, a.slot, a.decode)
}

// Filter ranges over the entries that match. The value that match gets is
// overwritten after the call; those ranged over are like those of At.
func (a Array[V]) Filter(match func(*V) bool) iter.Seq2[int, *V] {
	return func(yield func(int, *V) bool) {
		a.whole("Filter")
		a.scan("Filter", func(i int, v *V) bool {
			return !match(v) || yield(i, load(a.s, "Filter", i, a.slot, a.decode))
		})
	}
}

// MaxBy returns the first of the entries whose key is largest, and fails if
// there is no entry. The value that key gets is overwritten after the call.
func (a Array[V]) MaxBy(key func(*V) uint64) *V {
	a.whole("MaxBy")
	best, largest := -1, uint64(0)
	a.scan("MaxBy", func(i int, v *V) bool {
		if k := key(v); best < 0 || k > largest {
			best, largest = i, k
		}
		return true
	})
	if best < 0 {
		a.s.fail("MaxBy", a.s.NoMatch("MaxBy", a.slot))
		return nil
	}
	return load(a.s, "MaxBy", best, a.slot, a.decode)
}

// Partial returns the array with the entries that were captured, for one that was captured in
// part. Without it, reads that need all entries fail with a [*ktsnap.IncompleteError].
func (a Array[V]) Partial() Array[V] {
	a.partial = true
	return a
}

// whole fails if what the snapshot holds is not all there was.
func (a Array[V]) whole(op string) {
	if !a.partial {
		a.s.require(op)
	}
}
