package runtime

import (
	"fmt"

	"github.com/ktgen/ktgen/runtime/ctype"
)

// LoadAt returns the value of type typ of the layout at an address of the
// guest. It fails if the guest's program does not describe the type, or if the
// memory there was not captured. The same object is always the same Go
// pointer, whether it was reached by its address or through pointers.
func LoadAt[T any](b *Binding, addr Address, typ int, decode Decode[T]) *T {
	name := ctype.Spell(b.shapes.types[typ])
	if addr == 0 {
		b.fail(&Error{Op: "At", Path: name, Err: &Null{}})
		return nil
	}
	bound := &b.types[typ]
	if bound.shape == nil {
		b.fail(&Error{Op: "At", Path: name, Addr: uint64(addr), Err: &NotBound{Type: name, Reason: bound.why}})
		return nil
	}
	place := b.memory().canonical(uint64(addr))
	raw, captured := b.memory().value(place, bound.shape)
	if !captured {
		b.fail(&Error{Op: "At", Path: name, Addr: uint64(addr), Err: &NotCaptured{Addr: uint64(addr), Type: name}})
		return nil
	}
	if err := b.snapshot.outgrown(place, bound.shape); err != nil {
		b.fail(&Error{Op: "At", Path: name, Addr: uint64(addr), Err: err})
		return nil
	}
	return load(&source{
		b: b, typ: typ, shape: bound.shape, plan: bound.plan,
		columns: columns{
			name: fmt.Sprintf("(%s at %v)", name, addr),
			n:    1, slots: 1, stride: len(raw), size: len(raw), values: raw, addrs: []uint64{place}, single: true,
		},
	}, "At", 0, 0, decode)
}
