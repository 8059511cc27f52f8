package runtime

import (
	"bytes"

	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// Opaque is a map whose values are read as bytes: it was declared without
// BTF, or its type has no accessor of its own.
type Opaque struct {
	m    *boundMap
	slot int // notNarrowed if the map is per CPU and none was chosen
}

// NewOpaque returns the map with index i in the layout.
func NewOpaque(b *Binding, i int) Opaque {
	m := b.readable(i)
	if m.m.Type.IsPerCPU() {
		return Opaque{m, ktsnap.NotNarrowed}
	}
	return Opaque{m, 0}
}

// Map returns the captured map: its header, and its bytes in columns.
func (o Opaque) Map() *ktsnap.Map { return o.m.m }

// Len returns the number of entries that were captured.
func (o Opaque) Len() int { return o.m.m.N }

// Key returns a copy of the key of entry i, nil for arrays. It fails with an
// [*ktsnap.IndexOutOfRangeError] if there is no such entry.
func (o Opaque) Key(i int) []byte {
	m := o.m.m
	if !o.has("Key", i) || m.Keys == nil {
		return nil
	}
	return bytes.Clone(m.Keys[i*m.KeySize:][:m.KeySize])
}

// CPU returns what CPU n has of a map that is per CPU, which only the capture
// tells of one in a map of maps. Other maps have one value for all CPUs. It fails
// with a [*ktsnap.PerCPUSlotError] if there is no such CPU.
func (o Opaque) CPU(n int) Opaque {
	if o.m.m.Type.IsPerCPU() {
		o.slot = o.m.cpu(n)
	}
	return o
}

// Value returns a copy of the value of entry i. It fails with an
// [*ktsnap.IndexOutOfRangeError] if there is no such entry. For a map that is per CPU it
// fails with a [*ktsnap.PerCPUNotNarrowedError] if CPU has chosen none, and with a
// [*ktsnap.PerCPUSlotError] if that CPU has no memory.
func (o Opaque) Value(i int) []byte {
	if !o.has("Value", i) {
		return nil
	}
	if o.slot == ktsnap.NotNarrowed {
		o.m.fail("Value", &ktsnap.PerCPUNotNarrowedError{Map: o.m.Name, CPUs: o.m.Slots})
		return nil
	}
	value, _, ok := o.m.Value(i, o.slot)
	if !ok {
		o.m.fail("Value", o.m.Unreadable(o.slot))
		return nil
	}
	return bytes.Clone(value)
}

// has tells whether there is an entry i, or fails.
func (o Opaque) has(op string, i int) bool {
	if i >= 0 && i < o.m.N {
		return true
	}
	o.m.fail(op, &ktsnap.IndexOutOfRangeError{Map: o.m.Name, Index: i, Len: o.m.N})
	return false
}

// PerCPUOpaque is a per-CPU map whose values are read as bytes. A value is that of
// one CPU, so CPU comes first.
type PerCPUOpaque struct{ o Opaque }

// NewPerCPUOpaque returns the per-CPU map with index i in the layout.
func NewPerCPUOpaque(b *Binding, i int) PerCPUOpaque { return PerCPUOpaque{NewOpaque(b, i)} }

// CPUs returns the number of possible CPUs.
func (p PerCPUOpaque) CPUs() int { return p.o.m.Slots }

// CPU returns the values of CPU n. It fails with a [*ktsnap.PerCPUSlotError] if there is no
// such CPU.
func (p PerCPUOpaque) CPU(n int) Opaque { return p.o.CPU(n) }

// Map returns the captured map: its header, and its bytes in columns.
func (p PerCPUOpaque) Map() *ktsnap.Map { return p.o.Map() }

// Len returns the number of entries that were captured, the same on each CPU.
func (p PerCPUOpaque) Len() int { return p.o.Len() }

// Key returns a copy of the key of entry i, nil for arrays. It fails with an
// [*ktsnap.IndexOutOfRangeError] if there is no such entry.
func (p PerCPUOpaque) Key(i int) []byte { return p.o.Key(i) }
