package runtime

import (
	"fmt"
	"iter"
	"sync"

	"github.com/ktgen/ktgen/runtime/internal/fixture"
	"github.com/ktgen/ktgen/runtime/internal/keyindex"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// Hash reads a BPF hash map, or one CPU's part of a per-CPU hash map.
type Hash[K comparable, V any] struct {
	m       *boundMap
	keys    *keyindex.Index[K]
	slot    int
	decode  Decode[V]
	partial bool
}

// NewHash returns the hash map with index i in the layout.
func NewHash[K comparable, V any](b *Binding, i int, key Decode[K], decode Decode[V]) Hash[K, V] {
	m := b.readable(i)
	return Hash[K, V]{m: m, keys: indexKeys(m, key), decode: decode}
}

// lazyIndex holds a map's index of keys from its first use on.
type lazyIndex struct {
	once  sync.Once
	index any // *keyindex.Index[K]
	err   error
}

// indexKeys decodes the keys of a map at its first use.
func indexKeys[K comparable](m *boundMap, decode Decode[K]) *keyindex.Index[K] {
	m.index.once.Do(func() {
		index, err := buildIndex(m, decode)
		m.index.index, m.index.err = index, err
		m.Keys = m.b.snapshot.KeyTexts(m.m)
	})
	if m.index.err != nil {
		m.fail("read the keys of", m.index.err)
	}
	return m.index.index.(*keyindex.Index[K])
}

func buildIndex[K comparable](m *boundMap, decode Decode[K]) (*keyindex.Index[K], error) {
	x := keyindex.New[K](m.N, forgetTarget)
	x.Complete = fixture.Completer(m.keyShape, ownTypes, func(key *K, raw []byte) {
		d := newDecoder(m.b)
		defer d.unlock()
		decodeInto(d, key, raw, nil, &origin{source: &m.source}, decode)
	})
	d := newDecoder(m.b)
	defer d.unlock()
	for i := range x.Keys {
		raw := m.m.Keys[i*m.keySize:][:m.keySize:m.keySize]
		decodeInto(d, &x.Keys[i], raw, m.key, &origin{source: &m.source, entry: i}, decode)
		x.Enter(i)
	}
	return x, d.err
}

// Len returns the number of entries.
func (h Hash[K, V]) Len() int {
	h.whole("Len")
	return h.m.N
}

// Get returns the entry for a key, and fails if there is none. The same entry is always the same
// pointer. Of a union in the key one member is enough: those that are zero follow from it.
func (h Hash[K, V]) Get(key K) *V {
	i := h.entry("Get", key)
	if i < 0 {
		return nil
	}
	return load(&h.m.source, "Get", i, h.slot, h.decode)
}

// entry returns the number of the entry for a key, and fails if there is none.
func (h Hash[K, V]) entry(op string, key K) int {
	i, exists := h.keys.Find(key)
	if exists {
		return h.unambiguous(op, key, i)
	}
	h.whole(op)
	h.m.b.fail(&ktsnap.Error{
		Op: op, Path: fmt.Sprintf("%s[%v]", h.m.Name, key),
		Err: &ktsnap.KeyNotFoundError{Map: h.m.Name, Key: fmt.Sprint(key), Len: h.m.N, Keys: h.m.FirstKeys()},
	})
	return -1
}

func (h Hash[K, V]) unambiguous(op string, key K, i int32) int {
	if i < 0 {
		h.m.fail(op, h.m.m.Ambiguous(fmt.Sprint(key), func(i int) bool { return h.keys.Has(i, key) }))
	}
	return int(i)
}

// Lookup returns the entry for a key, if there is one.
func (h Hash[K, V]) Lookup(key K) (v *V, ok bool) {
	i, exists := h.keys.Find(key)
	if !exists {
		h.whole("Lookup")
		return nil, false
	}
	return load(&h.m.source, "Lookup", h.unambiguous("Lookup", key, i), h.slot, h.decode), true
}

// Keys returns the keys in the order of the capture.
func (h Hash[K, V]) Keys() []K {
	h.whole("Keys")
	return append([]K(nil), h.keys.Keys...)
}

// All ranges over the entries in the order of the capture, as values: unlike
// Get it keeps none of them.
func (h Hash[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		h.whole("All")
		h.array().scan("All", func(i int, v *V) bool { return yield(h.keys.Keys[i], *v) })
	}
}

// array is the map with its entries by number.
func (h Hash[K, V]) array() Array[V] {
	return Array[V]{s: &h.m.source, slot: h.slot, decode: h.decode, partial: h.partial}
}

// Find returns the first entry that matches, and fails if there is none. The
// value that match gets is overwritten after the call.
func (h Hash[K, V]) Find(match func(*V) bool) *V { return h.array().Find(match) }

// Filter ranges over the entries that match. The value that match gets is
// overwritten after the call; those ranged over are like those of Get.
func (h Hash[K, V]) Filter(match func(*V) bool) iter.Seq2[K, *V] {
	return func(yield func(K, *V) bool) {
		for i, v := range h.array().Filter(match) {
			if !yield(h.keys.Keys[i], v) {
				return
			}
		}
	}
}

// MaxBy returns the first of the entries whose key is largest, and fails if
// there is no entry. The value that key gets is overwritten after the call.
func (h Hash[K, V]) MaxBy(key func(*V) uint64) *V { return h.array().MaxBy(key) }

// Partial returns the map with the entries that were captured, for one that was captured in
// part. Without it, reads that need all entries fail with a [*ktsnap.IncompleteError].
func (h Hash[K, V]) Partial() Hash[K, V] {
	h.partial = true
	return h
}

// whole fails if what the snapshot holds is not all there was.
func (h Hash[K, V]) whole(op string) {
	if !h.partial {
		h.m.require(op)
	}
}
