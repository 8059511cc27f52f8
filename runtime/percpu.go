package runtime

import (
	"iter"

	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// PerCPUArray reads a per-CPU array map. It has no At: a value is that of one
// CPU, so CPU comes first.
type PerCPUArray[V any] struct{ a Array[V] }

// NewPerCPUArray returns the per-CPU array map with index i in the layout.
func NewPerCPUArray[V any](b *Binding, i int, decode Decode[V]) PerCPUArray[V] {
	return PerCPUArray[V]{NewArray(b, i, decode)}
}

// CPUs returns the number of possible CPUs.
func (p PerCPUArray[V]) CPUs() int { return p.a.s.Slots }

// CPU returns the values of CPU n. It fails with a [*ktsnap.PerCPUSlotError] if there is no
// such CPU.
func (p PerCPUArray[V]) CPU(n int) Array[V] {
	p.a.slot = p.a.s.cpu(n)
	return p.a
}

// cpu checks a CPU number.
func (s *source) cpu(n int) int {
	if n < 0 || n >= s.Slots {
		if n >= 0 && s.N == 0 {
			s.require("CPU")
		}
		s.b.fail(&ktsnap.Error{Op: "CPU", Path: s.Name, Err: &ktsnap.PerCPUSlotError{Map: s.Name, CPU: n, Len: s.Slots}})
	}
	return n
}

// Each ranges over the CPUs' values of entry i. CPUs that are possible and
// have no memory are left out.
func (p PerCPUArray[V]) Each(i int) iter.Seq2[int, *V] {
	return func(yield func(int, *V) bool) {
		if i < 0 || i >= p.a.s.N {
			p.a.s.failIndex("Each", i, 0)
			return
		}
		each(p.a.s, i, p.a.decode, yield)
	}
}

// each calls yield with the value of each CPU that has one.
func each[V any](s *source, entry int, decode Decode[V], yield func(int, *V) bool) {
	for cpu := range s.Slots {
		if _, _, ok := s.Value(entry, cpu); !ok {
			continue
		}
		if !yield(cpu, load(s, "Each", entry, cpu, decode)) {
			return
		}
	}
}

// Sum adds up a number over the CPUs' values of entry i, such as a counter
// that each CPU has a part of.
func (p PerCPUArray[V]) Sum(i int, number func(*V) uint64) uint64 {
	return sum(p.Each(i), number)
}

func sum[V any](values iter.Seq2[int, *V], number func(*V) uint64) (total uint64) {
	for _, v := range values {
		total += number(v)
	}
	return total
}

// Len returns the number of entries, the same on each CPU.
func (p PerCPUArray[V]) Len() int { return p.a.Len() }

// Partial returns the map with the entries that were captured, for one that was captured in
// part. Without it, reads that need all entries fail with a [*ktsnap.IncompleteError].
func (p PerCPUArray[V]) Partial() PerCPUArray[V] { return PerCPUArray[V]{p.a.Partial()} }

// PerCPUHash reads a per-CPU hash map. A value is that of one CPU, so CPU comes first.
type PerCPUHash[K comparable, V any] struct{ h Hash[K, V] }

// NewPerCPUHash returns the per-CPU hash map with index i in the layout.
func NewPerCPUHash[K comparable, V any](b *Binding, i int, key Decode[K], decode Decode[V]) PerCPUHash[K, V] {
	return PerCPUHash[K, V]{NewHash(b, i, key, decode)}
}

// CPUs returns the number of possible CPUs.
func (p PerCPUHash[K, V]) CPUs() int { return p.h.m.Slots }

// CPU returns the entries with the values of CPU n. All CPUs have the same keys. It fails
// with a [*ktsnap.PerCPUSlotError] if there is no such CPU.
func (p PerCPUHash[K, V]) CPU(n int) Hash[K, V] {
	p.h.slot = p.h.m.cpu(n)
	return p.h
}

// Each ranges over the CPUs' values for a key. It fails if there is no such
// key; CPUs that are possible and have no memory are left out.
func (p PerCPUHash[K, V]) Each(key K) iter.Seq2[int, *V] {
	return func(yield func(int, *V) bool) {
		if i := p.h.entry("Each", key); i >= 0 {
			each(&p.h.m.source, i, p.h.decode, yield)
		}
	}
}

// Sum adds up a number over the CPUs' values for a key, such as a counter that
// each CPU has a part of. It fails if there is no such key.
func (p PerCPUHash[K, V]) Sum(key K, number func(*V) uint64) uint64 {
	return sum(p.Each(key), number)
}

// Len returns the number of keys.
func (p PerCPUHash[K, V]) Len() int { return p.h.Len() }

// Keys returns the keys in the order of the capture.
func (p PerCPUHash[K, V]) Keys() []K { return p.h.Keys() }

// Partial returns the map with the entries that were captured, for one that was captured in
// part. Without it, reads that need all entries fail with a [*ktsnap.IncompleteError].
func (p PerCPUHash[K, V]) Partial() PerCPUHash[K, V] { return PerCPUHash[K, V]{p.h.Partial()} }
