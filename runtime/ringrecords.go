package runtime

import (
	"fmt"

	"github.com/ktgen/ktgen/runtime/ctype"
)

// Records are preceded by a struct bpf_ringbuf_hdr (kernel/bpf/ringbuf.c): the
// length with two bits beside it, and an offset.
const (
	recordHeader    = 8 // bytes
	recordBusy      = 1 << 31
	recordDiscarded = 1 << 30
)

// isRing tells whether maps of the type hold records, in Extents.
func (t MapType) isRing() bool { return t == MapTypeRingBuf || t == MapTypeUserRingBuf }

// ringRecords are the records of a ring buffer.
type ringRecords struct {
	submitted       []Extent
	busy, discarded int
	err             error
}

// records sorts the records of a captured ring buffer.
func (s *Snapshot) records(m *Map) (r ringRecords) {
	word := ctype.IntPlace{Bits: 32, BigEndian: s.Guest.BigEndian}
	for i, e := range m.Extents {
		if len(e.Data) < recordHeader {
			r.err = fmt.Errorf("the snapshot is damaged: record %d of map %s has %d bytes", i, m.Name, len(e.Data))
			return r
		}
		switch header := word.Load(e.Data); {
		case header&recordBusy != 0:
			r.busy++
		case header&recordDiscarded != 0:
			r.discarded++
		default:
			r.submitted = append(r.submitted, e)
		}
	}
	return r
}
