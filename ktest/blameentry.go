package ktest

import (
	"bytes"
	"io"

	"github.com/ktgen/ktgen/freeze"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// tenant is whose memory a place in a hash map is: the kernel gives that of an entry that was deleted to the
// next one that is put in, whatever its key.
type tenant struct {
	at  []freeze.Piece // of the key
	key []byte
}

// tenantOf returns the tenant of memory of a map when it was captured, or nil if it never has another one.
// Its key is in front of the value (htab_elem_value, kernel/bpf/hashtab.c).
func (q *inquiry) tenantOf(f *freeze.Freezer, m *ktsnap.Map, addr uint64, size int) *tenant {
	if m == nil || m.Type != ktsnap.MapTypeHash && m.Type != ktsnap.MapTypeLRUHash || m.KeySize == 0 {
		return nil
	}
	entry, slot, ok := m.At(addr, size)
	if !ok || entry*m.Slots+slot >= len(m.Addrs) {
		return nil
	}
	const align = 8
	start := m.Addrs[entry*m.Slots+slot] - uint64((m.KeySize+align-1)/align*align)
	pieces, err := f.Physical(start, m.KeySize)
	if err != nil {
		return nil
	}
	return &tenant{at: pieces, key: m.Keys[entry*m.KeySize : (entry+1)*m.KeySize]}
}

// isIn reports whether the memory is the tenant's now.
func (t *tenant) isIn(ram io.ReaderAt) bool {
	var key []byte
	for _, piece := range t.at {
		part := make([]byte, piece.Size)
		if _, err := ram.ReadAt(part, piece.Addr); err != nil {
			return false
		}
		key = append(key, part...)
	}
	return bytes.Equal(key, t.key)
}
