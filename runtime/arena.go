package runtime

import "github.com/ktgen/ktgen/runtime/ktsnap"

// Arena reads the pages of a BPF arena. The objects in it are reached through
// the pointers to them; this is for looking at its memory itself.
type Arena struct{ m *boundMap }

// NewArena returns the arena with index i in the layout.
func NewArena(b *Binding, i int) Arena { return Arena{b.readable(i)} }

// Extents returns the captured pages, ascending by user address: those that
// the program had touched, as far as the snapshot has them.
func (a Arena) Extents() []ktsnap.Extent { return a.m.m.Extents }

// Size returns how many bytes of the arena were captured.
func (a Arena) Size() int {
	size := 0
	for _, e := range a.m.m.Extents {
		size += len(e.Data)
	}
	return size
}

// Bytes returns n bytes at an address of the arena, in any of the forms in
// which programs store it. It fails if they were not captured.
func (a Arena) Bytes(addr uint64, n int) []byte {
	b := a.m.b
	at := b.memory().Canonical(addr)
	data, captured := b.memory().Read(at, n)
	if !captured {
		a.m.fail("Bytes", &ktsnap.NotCapturedError{Addr: at, Type: "arena memory"})
	}
	return data
}
