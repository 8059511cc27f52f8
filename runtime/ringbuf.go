package runtime

import (
	"bytes"
	"fmt"
	"iter"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// RingBuf reads the records that a ring buffer holds and nobody has consumed, as bytes:
// programs do not say of which type they are. Record 0 is the oldest. For records of one type,
// the map's definition can name it, and the generated accessor is a [RingBufOf]:
//
//	__attribute__((btf_decl_tag("ktgen:record:event")))
type RingBuf struct {
	m       *boundMap
	partial bool
}

// NewRingBuf returns the ring buffer with index i in the layout.
func NewRingBuf(b *Binding, i int) RingBuf { return RingBuf{m: b.readable(i)} }

// Len returns the number of records that were submitted.
func (r RingBuf) Len() int {
	r.whole("Len")
	return r.m.N
}

// Bytes returns a copy of record i. It fails if there is no such record.
func (r RingBuf) Bytes(i int) []byte {
	if i < 0 || i >= r.m.N {
		r.m.failIndex("Bytes", i, 0)
		return nil
	}
	data, _, _ := r.m.Value(i, 0)
	return bytes.Clone(data)
}

// All ranges over copies of the records, from the oldest on.
func (r RingBuf) All() iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		r.whole("All")
		for i := range r.m.N {
			if !yield(i, r.Bytes(i)) {
				return
			}
		}
	}
}

// Busy returns how many records were reserved and not yet submitted. A consumer
// waits at the first of them.
func (r RingBuf) Busy() int { return r.records().Busy }

// Discarded returns how many records the producer has given up.
func (r RingBuf) Discarded() int { return r.records().Discarded }

func (r RingBuf) records() ktsnap.RingRecords { return r.m.b.snapshot.Records(r.m.m) }

// Partial returns the ring buffer with the entries that were captured, for one that was captured in
// part. Without it, reads that need all entries fail with a [*ktsnap.IncompleteError].
func (r RingBuf) Partial() RingBuf {
	r.partial = true
	return r
}

func (r RingBuf) whole(op string) {
	if !r.partial {
		r.m.require(op)
	}
}

// RingBufOf reads the submitted records of a ring buffer whose records have one
// type. Entry 0 is the oldest.
type RingBufOf[V any] = Array[V]

// NewRingBufOf returns the ring buffer with index i in the layout.
func NewRingBufOf[V any](b *Binding, i int, decode Decode[V]) RingBufOf[V] {
	m := b.readable(i)
	bound := &b.types[m.typ]
	if bound.shape == nil {
		m.fail("read the records of", &ktsnap.NotBoundError{Type: ctype.Spell(b.shapes.types[m.typ]), Reason: bound.why})
	}
	s := m.source
	s.shape, s.plan = bound.shape, bound.plan
	for n, record := range s.Records {
		if size := len(record.Data) - ktsnap.RecordHeaderSize; size < bound.shape.Size {
			m.fail("read the records of", fmt.Errorf("record %d has %d bytes, and %s %d: without its tag ktgen:record the map is read as bytes", n, size, ctype.Spell(bound.shape), bound.shape.Size))
		}
	}
	return Array[V]{s: &s, decode: decode}
}
