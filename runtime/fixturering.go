package runtime

import (
	"fmt"
	"reflect"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// This file makes the records of ring buffers for fixtures.

// record is one that is still to be encoded.
type record struct {
	value reflect.Value
	shape *ctype.Shape
	addr  uint64
	data  []byte // behind the header
	path  string
}

// addRing adds a ring buffer with records that were submitted.
func (f *fixture) addRing(m *ktsnap.Map, l *mapSpec, given reflect.Value) {
	t := f.add(m, 0)
	if !given.IsValid() {
		return
	}
	shape := l.value
	for i := range given.Len() {
		v := given.Index(i)
		size := 0
		if shape != nil {
			size = shape.Size
		} else {
			size = v.Len()
		}
		raw := make([]byte, ktsnap.RecordHeaderSize+size)
		ctype.IntPlace{Bits: 32}.Store(raw, uint64(size))
		t.Extents = append(t.Extents, ktsnap.Extent{Addr: f.next, Data: raw})
		if shape == nil {
			copy(raw[ktsnap.RecordHeaderSize:], v.Bytes())
		} else {
			f.records = append(f.records, record{v, shape, f.next + ktsnap.RecordHeaderSize, raw[ktsnap.RecordHeaderSize:], fmt.Sprintf("%s[%d]", l.name, i)})
		}
		f.next += (uint64(len(raw)) + 7) &^ 7
	}
	m.MaxEntries = ringSize(f.next - t.Base)
	f.next = (f.next + 8191) &^ 4095
}

// ringSize is the size of the ring buffer that has n bytes of records: a power of
// two of whole pages.
func ringSize(n uint64) int {
	size := 4096
	for uint64(size) < n && size < 1<<30 {
		size *= 2
	}
	return size
}

// encodeRecords makes the bytes of the records, which can point to anything in
// the fixture.
func (f *fixture) encodeRecords() error {
	for _, r := range f.records {
		f.root = r.path
		f.at(r.addr, r.data)
		if err := f.value(r.value, r.shape, r.data); err != nil {
			return within(r.path, err)
		}
	}
	return nil
}
