package runtime

import (
	"iter"

	"github.com/ktgen/ktgen/runtime/internal/keyindex"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// Storage reads what the program keeps for each cgroup, inode or socket, by the
// address of that object in the kernel.
type Storage[V any] = Hash[ktsnap.Address, V]

// NewStorage returns the cgroup, inode or socket storage map with index i in the layout.
func NewStorage[V any](b *Binding, i int, decode Decode[V]) Storage[V] {
	m := b.readable(i)
	owner := func(entry int) ktsnap.Address { return ktsnap.Address(m.m.Owners[entry].Addr) }
	return Storage[V]{m: m, keys: indexEntries(m, owner), decode: decode}
}

// TaskStorage reads a task storage map: what the program keeps for each task.
type TaskStorage[V any] struct {
	h      Hash[int32, V]
	owners []ktsnap.Owner
}

// NewTaskStorage returns the task storage map with index i in the layout.
func NewTaskStorage[V any](b *Binding, i int, decode Decode[V]) TaskStorage[V] {
	m := b.readable(i)
	m.index.once.Do(func() {
		x := keyindex.New[int32](m.N, nil)
		for i, owner := range m.m.Owners[:m.N] {
			x.Keys[i] = owner.PID
			x.Enter(i)
		}
		m.index.index = x
		m.Keys = m.b.snapshot.KeyTexts(m.m)
	})
	return TaskStorage[V]{
		h:      Hash[int32, V]{m: m, keys: m.index.index.(*keyindex.Index[int32]), decode: decode},
		owners: m.m.Owners,
	}
}

// Len returns the number of tasks that have storage.
func (s TaskStorage[V]) Len() int { return s.h.Len() }

// Get returns the storage of the task with the given pid, which user space
// calls thread id, and fails if it has none.
func (s TaskStorage[V]) Get(pid int32) *V { return s.h.Get(pid) }

// Lookup returns the storage of the task with the given pid, if it has one.
func (s TaskStorage[V]) Lookup(pid int32) (v *V, ok bool) { return s.h.Lookup(pid) }

// Tasks returns the tasks that have storage, in the order of the capture.
func (s TaskStorage[V]) Tasks() []ktsnap.Owner {
	s.h.whole("Tasks")
	return append([]ktsnap.Owner(nil), s.owners[:s.h.m.N]...)
}

// All ranges over the tasks that have storage, in the order of the capture,
// with the storage as values: unlike Get it keeps none of them.
func (s TaskStorage[V]) All() iter.Seq2[ktsnap.Owner, V] {
	return func(yield func(ktsnap.Owner, V) bool) {
		s.h.whole("All")
		s.h.array().scan("All", func(i int, v *V) bool { return yield(s.owners[i], *v) })
	}
}

// Find returns the first storage that matches, and fails if there is none. The
// value that match gets is overwritten after the call.
func (s TaskStorage[V]) Find(match func(*V) bool) *V { return s.h.Find(match) }

// Filter ranges over the tasks whose storage matches. The value that match
// gets is overwritten after the call; those ranged over are like those of Get.
func (s TaskStorage[V]) Filter(match func(*V) bool) iter.Seq2[ktsnap.Owner, *V] {
	return func(yield func(ktsnap.Owner, *V) bool) {
		for i, v := range s.h.array().Filter(match) {
			if !yield(s.owners[i], v) {
				return
			}
		}
	}
}

// MaxBy returns the first storage whose key is largest, and fails if there is
// none. The value that key gets is overwritten after the call.
func (s TaskStorage[V]) MaxBy(key func(*V) uint64) *V { return s.h.MaxBy(key) }

// Partial returns the map with the entries that were captured, for one that was captured in
// part. Without it, reads that need all entries fail with a [*ktsnap.IncompleteError].
func (s TaskStorage[V]) Partial() TaskStorage[V] {
	s.h.partial = true
	return s
}
