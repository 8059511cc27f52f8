package ktsnap

import (
	"fmt"
	"math"

	"github.com/ktgen/ktgen/runtime/ctype"
)

// Records are preceded by a struct bpf_ringbuf_hdr (kernel/bpf/ringbuf.c): the
// length with two bits beside it, and an offset.
const (
	RecordHeaderSize = 8 // bytes
	recordBusy       = 1 << 31
	recordDiscarded  = 1 << 30
)

// IsRing tells whether maps of the type hold records, in Extents.
func (t MapType) IsRing() bool { return t.is(inBytes) }

// RingRecords are the records of a ring buffer.
type RingRecords struct {
	submitted       []Extent
	Busy, Discarded int
	Err             error
}

// Records sorts the records of a captured ring buffer.
func (s *Snapshot) Records(m *Map) (r RingRecords) {
	word := ctype.IntPlace{Bits: 32}
	for i, e := range m.Extents {
		if len(e.Data) < RecordHeaderSize {
			r.Err = fmt.Errorf("the snapshot is damaged: record %d of map %s has %d bytes", i, m.Name, len(e.Data))
			return r
		}
		switch header := word.Load(e.Data); {
		case header&recordBusy != 0:
			r.Busy++
		case header&recordDiscarded != 0:
			r.Discarded++
		default:
			r.submitted = append(r.submitted, e)
		}
	}
	return r
}

// recordShape is the type of a ring buffer's records: none if one of them is shorter, so
// that not all are of that type.
func (m *mapReader) recordShape() (*ctype.Shape, error) {
	shortest := math.MaxInt
	for _, r := range m.Columns.Records {
		shortest = min(shortest, len(r.Data)-RecordHeaderSize)
	}
	if s := m.m.Value; s != nil && (s.Size > shortest || s.Kind == ctype.KindSection) {
		return nil, nil
	}
	return m.value.check(&m.r.layouts, m.m.Value, shortest)
}
