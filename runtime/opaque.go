package runtime

import "bytes"

// Opaque is a map whose values are read as bytes: it was declared without
// BTF, or its type has no accessor of its own.
type Opaque struct{ m *Map }

// NewOpaque returns the map with index i in the layout.
func NewOpaque(b *Binding, i int) Opaque {
	return Opaque{b.readable(i).m}
}

// Map returns the captured map: its header, and its bytes in columns.
func (o Opaque) Map() *Map { return o.m }

// Len returns the number of entries that were captured.
func (o Opaque) Len() int { return o.m.N }

// Key returns a copy of the key of entry i, nil for arrays. It panics if there
// is no such entry.
func (o Opaque) Key(i int) []byte {
	if o.m.Keys == nil {
		return nil
	}
	return bytes.Clone(o.m.Keys[i*o.m.KeySize:][:o.m.KeySize])
}

// Value returns a copy of the value of entry i, for per-CPU maps that of the
// first CPU. It panics if there is no such entry.
func (o Opaque) Value(i int) []byte {
	return bytes.Clone(o.m.Values[i*o.m.Slots*o.m.Stride:][:o.m.ValueSize])
}
