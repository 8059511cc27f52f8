package bpfmap

import (
	"context"
	"fmt"

	"github.com/ktgen/ktgen/freeze/internal/kmem"
)

// idrLayout is where struct idr and the xarray below it keep their entries.
type idrLayout struct {
	head kmem.Field // idr.idr_rt.xa_head: a tagged pointer to an xa_node, or one entry
	base kmem.Field

	nodeSize int
	shift    kmem.Field
	slots    int // offset of xa_node.slots
	fanout   int // number of slots, a power of two
}

func (l *idrLayout) resolve(r *resolver) {
	l.head = r.field("idr", "idr_rt.xa_head")
	l.base = r.field("idr", "idr_base")
	l.nodeSize = r.size("xa_node")
	l.shift = r.field("xa_node", "shift")
	slots, size := r.member("xa_node", "slots")
	l.slots, l.fanout = slots, size/8
	if l.slots+8*l.fanout > l.nodeSize {
		r.missing = append(r.missing, "xa_node.slots")
	}
}

// Bounds of one xarray. Its index has 64 bits, and a BPF id is at most
// INT_MAX.
const (
	maxNodes = 1 << 16
	maxMaps  = 1 << 16
)

// entries calls f for each entry of the idr at a, by ascending id.
func (l *idrLayout) entries(p *Pass, a kmem.Addr, f func(id uint64, entry kmem.Addr) error) error {
	head, err := p.mem.Fetch(a, l.head)
	if err != nil {
		return fmt.Errorf("read idr.idr_rt.xa_head: %w", err)
	}
	base, err := p.mem.Fetch(a, l.base)
	if err != nil {
		return fmt.Errorf("read idr.idr_base: %w", err)
	}
	w := xarrayWalk{idrLayout: l, pass: p, visit: func(index uint64, entry kmem.Addr) error {
		return f(base+index, entry)
	}}
	return w.entry(kmem.Addr(head), 0, 64)
}

// xarrayWalk is a depth-first walk (include/linux/xarray.h).
type xarrayWalk struct {
	*idrLayout
	pass  *Pass
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
		return corrupt("xarray has more than %d nodes", maxNodes)
	}
	if w.nodes%checkEvery == 0 {
		if err := context.Cause(w.pass.ctx); err != nil {
			return err
		}
	}
	buf := make([]byte, w.nodeSize)
	if err := w.pass.mem.Read(a, buf); err != nil {
		return fmt.Errorf("read xa_node at %v: %w", a, err)
	}
	shift := w.shift.Uint(buf)
	if shift >= above {
		return corrupt("xa_node at %v has shift %d below one of %d", a, shift, above)
	}
	for i := range w.fanout {
		slot := kmem.Field{Offset: w.slots + 8*i, Size: 8}.Addr(buf)
		if err := w.entry(slot, index+uint64(i)<<shift, shift); err != nil {
			return err
		}
	}
	return nil
}
