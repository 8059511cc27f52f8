package runtime

import (
	"encoding/binary"
	"fmt"
	"iter"
	"sync"

	"github.com/ktgen/ktgen/runtime/internal/convert"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// ArrayOfMaps reads an array of maps. M is how the maps in it are read, such as Array[V].
type ArrayOfMaps[M any] struct {
	slots Slots
	inner inner[M]
}

// NewArrayOfMaps returns the array of maps with index i in the layout, whose
// maps are like map template of it.
func NewArrayOfMaps[M any](b *Binding, i, template int, open func(b *Binding, i int) M) ArrayOfMaps[M] {
	slots := NewSlots(b, i)
	return ArrayOfMaps[M]{slots, inner[M]{slots.m, template, open}}
}

// Len returns the number of slots.
func (a ArrayOfMaps[M]) Len() int { return a.slots.Len() }

// ID returns the id of the map in slot i. ok is false if the slot is empty. It
// fails if there is no such slot.
func (a ArrayOfMaps[M]) ID(i int) (id uint32, ok bool) { return a.slots.ID(i) }

// At returns the map in slot i. It fails if the slot is empty, or the map was
// not captured; see ID.
func (a ArrayOfMaps[M]) At(i int) M {
	id, occupied := a.slots.ID(i)
	if !occupied {
		a.slots.m.b.fail(&ktsnap.Error{Op: "At", Path: a.slots.m.Path(i, 0), Err: &ktsnap.EmptySlotError{Map: a.slots.m.Name, Index: i}})
	}
	return a.inner.at("At", a.slots.m.Path(i, 0), id)
}

// All ranges over the maps in the occupied slots.
func (a ArrayOfMaps[M]) All() iter.Seq2[int, M] {
	return func(yield func(int, M) bool) {
		for i, id := range a.slots.All() {
			if !yield(i, a.inner.at("All", a.slots.m.Path(i, 0), id)) {
				return
			}
		}
	}
}

// Partial returns the array with the entries that were captured, for one that was captured in
// part. Without it, reads that need all entries fail with a [*ktsnap.IncompleteError].
func (a ArrayOfMaps[M]) Partial() ArrayOfMaps[M] {
	a.slots = a.slots.Partial()
	return a
}

// HashOfMaps reads a hash of maps. M is how the maps in it are read, such as Array[V].
type HashOfMaps[K comparable, M any] struct {
	ids   Hash[K, uint32]
	inner inner[M]
}

// NewHashOfMaps returns the hash of maps with index i in the layout, whose maps
// are like map template of it.
func NewHashOfMaps[K comparable, M any](b *Binding, i, template int, key Decode[K], open func(b *Binding, i int) M) HashOfMaps[K, M] {
	ids := NewHash[K, uint32](b, i, key, nil)
	if ids.m.N > 0 && ids.m.Size != ktsnap.SlotSize {
		ids.m.fail("read", fmt.Errorf("its values have %d bytes, and ids %d", ids.m.Size, ktsnap.SlotSize))
	}
	return HashOfMaps[K, M]{ids, inner[M]{ids.m, template, open}}
}

// Len returns the number of entries.
func (h HashOfMaps[K, M]) Len() int { return h.ids.Len() }

// Keys returns the keys in the order of the capture.
func (h HashOfMaps[K, M]) Keys() []K { return h.ids.Keys() }

// Get returns the map for a key. It fails if there is none, or it was not captured.
func (h HashOfMaps[K, M]) Get(key K) (m M) {
	if i := h.ids.entry("Get", key); i >= 0 {
		return h.at("Get", i)
	}
	return m
}

// Lookup returns the map for a key, if there is one. It fails if that map was not captured.
func (h HashOfMaps[K, M]) Lookup(key K) (m M, ok bool) {
	i, exists := h.ids.keys.Find(key)
	if !exists {
		h.ids.whole("Lookup")
		return m, false
	}
	return h.at("Lookup", h.ids.unambiguous("Lookup", key, i)), true
}

// All ranges over the maps in the order of the capture.
func (h HashOfMaps[K, M]) All() iter.Seq2[K, M] {
	return func(yield func(K, M) bool) {
		h.ids.whole("All")
		for i, key := range h.ids.keys.Keys {
			if !yield(key, h.at("All", i)) {
				return
			}
		}
	}
}

// Partial returns the hash with the entries that were captured, for one that was captured in
// part. Without it, reads that need all entries fail with a [*ktsnap.IncompleteError].
func (h HashOfMaps[K, M]) Partial() HashOfMaps[K, M] {
	return HashOfMaps[K, M]{h.ids.Partial(), h.inner}
}

func (h HashOfMaps[K, M]) at(op string, entry int) M {
	m := h.ids.m
	raw, _, readable := m.Value(entry, 0)
	if !readable {
		m.failUnreadable(op, entry, 0)
	}
	return h.inner.at(op, m.Path(entry, 0), binary.LittleEndian.Uint32(raw))
}

// inner opens the maps in a map of maps.
type inner[M any] struct {
	outer    *boundMap
	template int // in Layout.Maps
	open     func(b *Binding, i int) M
}

// at opens the map with an id, which is at a path in the outer map.
func (n inner[M]) at(op, path string, id uint32) M {
	b := n.outer.b
	i, err := b.inner.bind(b, n.template, path, id)
	if err != nil {
		b.fail(&ktsnap.Error{Op: op, Path: path, Err: err})
	}
	return n.open(b, i)
}

// innerMaps are the maps in maps of maps, bound at their first use. They are
// numbered behind those of the layout.
type innerMaps struct {
	mu    sync.Mutex // guards what follows
	maps  []*boundMap
	known map[innerKey]int
}

type innerKey struct {
	template int
	id       uint32
}

func (n *innerMaps) at(i int) *boundMap {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.maps[i]
}

// bind returns the number of the map with an id.
func (n *innerMaps) bind(b *Binding, template int, path string, id uint32) (i int, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	key := innerKey{template, id}
	if i, known := n.known[key]; known {
		return len(b.maps) + i, nil
	}
	m, err := b.bindInner(template, path, id)
	if err != nil {
		return 0, err
	}
	if n.known == nil {
		n.known = make(map[innerKey]int)
	}
	m.number = len(b.maps) + len(n.maps) + 1
	n.known[key] = len(n.maps)
	n.maps = append(n.maps, m)
	return len(b.maps) + len(n.maps) - 1, nil
}

// bindInner compares the map with an id with the map of the layout that it should be like.
func (b *Binding) bindInner(template int, path string, id uint32) (*boundMap, error) {
	l := &b.layout.Maps[template]
	bound := &boundMap{source: source{b: b, Columns: ktsnap.Columns{Name: path}, typ: -1}}
	for _, m := range b.snapshot.Maps {
		if m.ID == id {
			bound.m = m
		}
	}
	if bound.m == nil {
		return nil, &ktsnap.InnerMapNotFoundError{ID: id}
	}
	c := convert.New()
	if typ := b.shapes.mapTypes[template]; typ != 0 && bound.m.Type.Family() != typ.Family() {
		c.Differ("map "+path, typ.String(), bound.m.Type.String())
	} else {
		bound.err = bound.take(c, l, b.shapes.keys[template])
	}
	if len(c.Differences) > 0 {
		return nil, &LayoutError{Object: b.layout.Object, Package: b.layout.Package, Differences: c.Differences}
	}
	return bound, nil
}
