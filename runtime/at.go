package runtime

import (
	"fmt"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// LoadAt returns the value of type typ of the layout at an address of the
// guest. It fails if the guest's program does not describe the type, or if the
// memory there was not captured. The same object is always the same Go
// pointer, whether it was reached by its address or through pointers.
func LoadAt[T any](b *Binding, addr ktsnap.Address, typ int, decode Decode[T]) *T {
	name := ctype.Spell(b.shapes.types[typ])
	if addr == 0 {
		b.fail(&ktsnap.Error{Op: "At", Path: name, Err: &ktsnap.NullError{}})
		return nil
	}
	bound := &b.types[typ]
	if bound.shape == nil {
		b.fail(&ktsnap.Error{Op: "At", Path: name, Addr: uint64(addr), Err: &ktsnap.NotBoundError{Type: name, Reason: bound.why}})
		return nil
	}
	place := b.memory().Canonical(uint64(addr))
	raw, captured := b.memory().Value(place, bound.shape)
	if !captured {
		b.fail(&ktsnap.Error{Op: "At", Path: name, Addr: uint64(addr), Err: b.memory().Missing(b.shapes.types[typ], uint64(addr), bound.shape)})
		return nil
	}
	if err := b.snapshot.Outgrown(place, bound.shape); err != nil {
		b.fail(&ktsnap.Error{Op: "At", Path: name, Addr: uint64(addr), Err: err})
		return nil
	}
	return load(&source{
		b: b, typ: typ, shape: bound.shape, plan: bound.plan,
		Columns: ktsnap.Columns{
			Name: fmt.Sprintf("(%s at %v)", name, addr),
			N:    1, Slots: 1, Stride: len(raw), Size: len(raw), Values: raw, Addrs: []uint64{place}, Single: true,
		},
	}, "At", 0, 0, decode)
}
