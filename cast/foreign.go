package cast

// This file reads the kernel's memory. Objects of the program's own types hold
// what the program stores, so that what one function uses a member as tells
// all of them. Those of the kernel's hold what the kernel stores, and one
// member may be something else for each program: the registers of a struct
// pt_regs are the arguments of whichever function a kprobe is in.

import (
	"github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/object"
)

// kernelInterface claims the types that the kernel passes and takes: those that
// CO-RE relocations, struct_ops maps and kfuncs name, with what these lead to.
func kernelInterface(obj *object.Object, l *layouts) *owner {
	o := relocated(obj, l)
	for i := range obj.Maps {
		if m := &obj.Maps[i]; isStructOpsMap(m) {
			o.claim(m.Value)
		}
	}
	for _, x := range obj.Externs {
		o.claimSignature(x.Type)
	}
	o.claimPointees()
	return o
}

// claimPointees claims what the claimed types lead to.
func (o *owner) claimPointees() {
	for len(o.pointees) > 0 {
		t := o.pointees[len(o.pointees)-1]
		o.pointees = o.pointees[:len(o.pointees)-1]
		o.claim(t)
		o.claimSignature(t)
	}
}

// foreignTypes returns the types whose objects are the kernel's: of its
// interface, and what programs are called with, unless the program's own maps
// and sections hold them.
func foreignTypes(obj *object.Object, l *layouts) map[btf.Type]bool {
	foreign := given(obj, l)
	for t := range ownTypes(obj, l) {
		delete(foreign, t)
	}
	return foreign
}

// isForeign tells whether a slot is a member of an object of the kernel's.
func (e *engine) isForeign(s slot) bool {
	return s.kind == field && e.foreign[s.typ] && !e.without(foreign)
}

func (e *engine) isForeignType(t btf.Type) bool { return e.foreign[t] && !e.without(foreign) }

// loadForeign is what is read through p from a slot of the kernel's: what the
// program itself has stored there, or what this function uses it as. Functions
// that several programs call learn nothing from its use. Each element of an
// array is a place of its own: those of a system call's arguments differ.
func (w *walk) loadForeign(p pointer, s slot) value {
	stored := w.readCell(s).stored
	v := opaque()
	if off, ok := p.off.exact(); ok && w.depth == 0 {
		v = w.undeclared(slot{kind: kernelMember, typ: p.typ, fn: w.fn.Function, off: uint32(off)})
	}
	v.ptr = stored.ptr.usedAs(v.ptr)
	v.flags |= stored.flags & isGuess
	return v
}
