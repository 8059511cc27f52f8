package cast

// This file follows structs on the stack that a function is declared to be passed a
// pointer to, as callbacks of bpf_loop are. They are on the stack, and objects of their
// type, too: what the function reads there or writes there is what the members hold.

import (
	"github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/runtime/ctype"
)

// box is a struct on the stack.
type box struct {
	frame int
	off   int64 // where it starts, from the frame's end
	size  int64
	typ   btf.Type
}

// boxesOf returns the structs on the stack that a function is passed pointers to.
func (w *walk) boxesOf(f *function, entry *state) (boxes []box) {
	proto := w.signature(f)
	if proto == nil || f.Program() {
		return nil
	}
	for i, param := range proto.Params[:min(len(proto.Params), maxParams)] {
		p := w.values.all[entry.regs[1+i]].ptr
		target, _, isPointer := w.layouts.pointee(param.Type)
		if !p.known() || p.region != stackRegion || !isPointer || w.isForeignType(target) || !isOwnAggregate(typedPointer(target, 0)) {
			continue
		}
		off, exact := p.off.exact()
		if b := (box{p.frame, off, int64(sizeOf(target)), target}); exact && b.size > 0 && off+b.size <= 0 && !isView(target) {
			boxes = append(boxes, b)
		}
	}
	return boxes
}

// boxAt returns the pointer to the member of the struct in which there is a slot of the
// stack; ok is false if that is in none.
func (w *walk) boxAt(frame int, off int64) (p pointer, ok bool) {
	for _, b := range w.boxes {
		if b.frame == frame && off >= b.off && off < b.off+b.size {
			p = typedPointer(b.typ, ctype.SpaceUnknown)
			p.off = newOffset(off-b.off, 0)
			return p, true
		}
	}
	return pointer{}, false
}

// readBoxed is what is read from a slot of the stack that holds v: of what is not known
// there, the type of the struct may tell more.
func (w *walk) readBoxed(frame int, off int64, v value) value {
	p, ok := w.boxAt(frame, off)
	if !ok {
		return v
	}
	w.noteBoxed(frame, off, v)
	if v == opaque() {
		w.inBox = true
		v = w.readTyped(p, slotSize)
		w.inBox = false
	}
	return v
}

// noteBoxed notes that a slot of the stack is read or written that holds v: so does the
// member of the struct.
func (w *walk) noteBoxed(frame int, off int64, v value) {
	if p, ok := w.boxAt(frame, off); ok {
		via := w.via
		w.via, w.inBox = anyObject, true
		w.writeTyped(p, slotSize, v)
		w.via, w.inBox = via, false
	}
}

// isBoxed tells whether what is stored is in a struct on the stack: the stack itself tells
// where that goes.
func (e *engine) isBoxed() bool { return e.walking != nil && e.walking.inBox }
