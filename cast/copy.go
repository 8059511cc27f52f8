package cast

// This file handles helpers that copy memory: values into maps and out of them,
// objects of the kernel.

import (
	"github.com/cilium/ebpf/btf"
	"github.com/ktgen/ktgen/runtime/ctype"
)

// maxCopied bounds what is followed of one copy, in bytes.
const maxCopied = 4096

// copyToMap passes on what a helper copies into the map in r1: a value, and a
// key if it takes one, which are the registers' numbers.
func (w *walk) copyToMap(key, val int) {
	m := w.theMap(1)
	if m == nil {
		return
	}
	if m.Value != nil {
		w.copyObject(w.contentOf(m), w.regs[val])
	}
	if key != 0 && m.Key != nil {
		if t := w.layouts.canonical(m.Key); !isScalar(t) {
			w.copyObject(value{ptr: typedPointer(t, ctype.SpaceMap)}, w.regs[key])
		}
	}
}

// copyFromMap handles a helper that copies a value of the map in r1 to r2.
func (w *walk) copyFromMap() {
	to, m := w.regs[2], w.theMap(1)
	w.writtenByCallee()
	if m != nil && m.Value != nil {
		from := w.contentOf(m)
		if size, err := btf.Sizeof(from.ptr.typ); err == nil {
			w.copyMemory(to, from, size)
		}
	}
	w.finishCall(number(anyNumber), false)
}

// probeRead handles bpf_probe_read_kernel(dst, size, src), which is what
// BPF_CORE_READ makes of a member access.
func (w *walk) probeRead() {
	to, from := w.regs[1], w.regs[3]
	n, ok := w.regs[2].asNumber()
	size, isConst := n.Const()
	w.writtenByCallee()
	if ok && isConst && size >= slotSize {
		w.copyMemory(to, from, int(min(size, maxCopied)))
	}
	w.finishCall(number(anyNumber), false)
}

// copyObject copies an object to one of a known type.
func (w *walk) copyObject(to, from value) {
	if size, err := btf.Sizeof(to.ptr.typ); err == nil {
		w.copyMemory(to, from, size)
	}
}

// copyMemory copies size bytes, of which the pointers count, over memory of which
// nothing is known. Nothing is copied from NULL.
func (w *walk) copyMemory(to, from value, size int) {
	if _, number := from.asNumber(); number || w.without(copies) || !to.ptr.known() {
		return
	}
	for at := int64(0); at+slotSize <= int64(min(size, maxCopied)); at += slotSize {
		if off, ok := from.ptr.off.exact(); ok && from.ptr.known() && from.ptr.region == stackRegion && from.ptr.frame == 0 {
			w.spot = off + at
		}
		// What is not known of the stack is opaque anyway.
		if v := w.read(from, at, slotSize); v != opaque() || to.ptr.region != stackRegion {
			w.write(to, at, slotSize, v)
		}
		w.spot = 0
	}
}
