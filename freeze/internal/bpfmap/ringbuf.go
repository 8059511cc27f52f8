package bpfmap

import (
	"fmt"

	"github.com/ktgen/ktgen/freeze/internal/kmem"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// ringBuf copies the records that BPF_MAP_TYPE_RINGBUF and
// BPF_MAP_TYPE_USER_RINGBUF have between the positions of the consumer and the
// producer (kernel/bpf/ringbuf.c). Positions only grow; the data of a position
// is at
//
//	struct bpf_ringbuf.data + position % max_entries
//
// and the data's pages are mapped twice, one after another, so that what wraps
// around is contiguous. User space writes one of the positions, and the records
// of a user ring buffer.
type ringBuf struct {
	ring               kmem.Field // of struct bpf_ringbuf_map: rb
	consumer, producer kmem.Field // of struct bpf_ringbuf
	data               int

	// Rings that overwrite their oldest records say up to where they have.
	overwrites, overwritten kmem.Field
	hasOverwrite            bool
}

func resolveRingBuf(r *resolver) copier {
	const t = "bpf_ringbuf"
	l := &ringBuf{
		ring:     r.field("bpf_ringbuf_map", "rb"),
		consumer: r.field(t, "consumer_pos"),
		producer: r.field(t, "producer_pos"),
		data:     r.at(t, "data"),
	}
	var hasPosition bool
	l.overwrites, l.hasOverwrite = r.optional(t, "overwrite_mode")
	l.overwritten, hasPosition = r.optional(t, "overwrite_pos")
	l.hasOverwrite = l.hasOverwrite && hasPosition
	return l
}

func (l *ringBuf) copy(p *Pass, m *Map) error {
	m.KeySize, m.ValueSize, m.Stride = 0, 0, 0
	ring, start, end, err := l.positions(p, m)
	if err != nil {
		return err
	}
	size := uint64(m.MaxEntries)
	if size == 0 || size&(size-1) != 0 {
		return corrupt("a ring of %d bytes", size)
	}
	used := end - start
	if used > size || start%recordAlign != 0 || end%recordAlign != 0 {
		return corrupt("the consumer is at %d and the producer at %d of a ring of %d bytes", start, end, size)
	}
	first, ok := ring.Add(uint64(l.data) + start%size)
	if !ok {
		return corrupt("a ring at %v", ring)
	}
	n := min(used, m.limit)
	m.limit -= n
	err = p.mem.Runs(first, n, func(pa kmem.Phys, n int) error {
		return p.mem.ReadPhys(pa, grow(&m.pages, n))
	})
	if err != nil {
		return fmt.Errorf("read %d bytes of records at %v: %w", n, first, err)
	}
	return p.records(m, uint64(first), int(used))
}

// positions reads where the ring is, and between which positions records are.
func (l *ringBuf) positions(p *Pass, m *Map) (ring kmem.Addr, start, end uint64, err error) {
	read := func(a kmem.Addr, f kmem.Field) uint64 {
		v, e := p.mem.Fetch(a, f)
		if err == nil && e != nil {
			err = fmt.Errorf("read struct bpf_ringbuf: %w", e)
		}
		return v
	}
	ring = kmem.Addr(read(m.addr, l.ring))
	if err != nil {
		return ring, 0, 0, err
	}
	start, end = read(ring, l.consumer), read(ring, l.producer)
	if l.hasOverwrite && read(ring, l.overwrites) != 0 {
		start = max(start, read(ring, l.overwritten))
	}
	return ring, start, end, err
}

const (
	recordHeader = 8 // size of struct bpf_ringbuf_hdr, in bytes
	recordAlign  = 8
	recordLength = 1<<30 - 1 // of the header's first word, beside BPF_RINGBUF_BUSY_BIT and BPF_RINGBUF_DISCARD_BIT
)

// recordWord is the first word of a record's header.
var recordWord = kmem.Field{Size: 4}

// records makes an extent of each record in m.pages, which are the first of
// used bytes of records at addr.
func (p *Pass) records(m *Map, addr uint64, used int) error {
	data := m.pages
	for at := 0; at < used; {
		if err := p.check(); err != nil {
			return err
		}
		m.Total++
		if len(data)-at < recordHeader {
			break
		}
		n := int(recordWord.Uint(data[at:]) & recordLength)
		next := at + (recordHeader+n+recordAlign-1)&^(recordAlign-1)
		if next > used {
			return corrupt("a record of %d bytes, %d bytes before the producer", n, used-at)
		}
		if end := at + recordHeader + n; end <= len(data) {
			m.Extents = append(m.Extents, ktsnap.Extent{Addr: addr + uint64(at), Data: data[at:end:end]})
		}
		at = next
	}
	if len(data) < used {
		m.truncate(fmt.Sprintf("%d records reach the limit on bytes copied", len(m.Extents)))
	}
	return nil
}
