package kwalk

import (
	"fmt"

	"github.com/ktgen/ktgen/freeze/internal/kmem"
)

// IDR is where struct idr and the xarray below it keep their entries.
type IDR struct {
	Head kmem.Field // idr.idr_rt.xa_head: a tagged pointer to an xa_node, or one entry
	Base kmem.Field

	NodeSize int
	Shift    kmem.Field
	Slots    int // offset of xa_node.slots
	Fanout   int // number of slots, a power of two
}

// maxNodes bounds the nodes of one xarray. Its index has 64 bits, and a BPF id is at
// most INT_MAX.
const maxNodes = 1 << 16

// Walk calls f for each entry of the idr at a, by ascending id, until an error. check is
// called now and then.
func (l *IDR) Walk(mem *kmem.Space, a kmem.Addr, check func() error, f func(id uint64, entry kmem.Addr) error) error {
	head, err := mem.Fetch(a, l.Head)
	if err != nil {
		return fmt.Errorf("read idr.idr_rt.xa_head: %w", err)
	}
	base, err := mem.Fetch(a, l.Base)
	if err != nil {
		return fmt.Errorf("read idr.idr_base: %w", err)
	}
	w := xarrayWalk{IDR: l, mem: mem, check: check, visit: func(index uint64, entry kmem.Addr) error {
		return f(base+index, entry)
	}}
	return w.entry(kmem.Addr(head), 0, 64)
}

// xarrayWalk is a depth-first walk (include/linux/xarray.h).
type xarrayWalk struct {
	*IDR
	mem   *kmem.Space
	check func() error
	nodes int
	visit func(index uint64, entry kmem.Addr) error
}

// entry handles what a slot for the index holds. Shifts below it are less
// than shift.
func (w *xarrayWalk) entry(e kmem.Addr, index uint64, shift uint64) error {
	const internal, mask, lastSpecial = 2, 3, 4096 // xa_is_internal, xa_is_node
	switch {
	case e == 0:
		return nil
	case e&mask != internal:
		return w.visit(index, e)
	case e <= lastSpecial:
		return nil // a retry, zero or sibling entry
	}
	return w.node(e-internal, index, shift)
}

func (w *xarrayWalk) node(a kmem.Addr, index, above uint64) error {
	if w.nodes++; w.nodes > maxNodes {
		return Corrupt("xarray has more than %d nodes", maxNodes)
	}
	if err := w.check(); err != nil {
		return err
	}
	buf := make([]byte, w.NodeSize)
	if err := w.mem.Read(a, buf); err != nil {
		return fmt.Errorf("read xa_node at %v: %w", a, err)
	}
	shift := w.Shift.Uint(buf)
	if shift >= above {
		return Corrupt("xa_node at %v has shift %d below one of %d", a, shift, above)
	}
	for i := range w.Fanout {
		slot := kmem.Field{Offset: w.Slots + 8*i, Size: 8}.Addr(buf)
		if err := w.entry(slot, index+uint64(i)<<shift, shift); err != nil {
			return err
		}
	}
	return nil
}
