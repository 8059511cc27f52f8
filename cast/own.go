package cast

// This file tells the program's own types from the kernel's.

import (
	"github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/object"
)

// ownTypes returns the structs and unions that the program lays out itself:
// those in its maps and data sections, those that pointers there lead to or its
// subprograms take, and those that it allocates. A type that the kernel passes
// or takes is the kernel's, unless a map or a section holds it, as are the types
// that only it leads to.
func ownTypes(obj *object.Object, l *layouts) map[btf.Type]bool {
	o := owner{layouts: l, kernel: given(obj, l), own: make(map[btf.Type]bool)}
	o.claimMaps(obj)
	o.claimSections(obj)
	for i := range obj.Functions {
		if fn := &obj.Functions[i]; (!fn.Program() || takesOwn(fn)) && fn.Type != nil {
			o.claimSignature(fn.Type)
		}
	}
	o.claimAllocated(obj)
	for len(o.pointees) > 0 {
		t := o.pointees[len(o.pointees)-1]
		o.pointees = o.pointees[:len(o.pointees)-1]
		if !o.kernel[t] {
			o.claim(t)
		}
	}
	return o.own
}

func (o *owner) claimMaps(obj *object.Object) {
	for i := range obj.Maps {
		m := &obj.Maps[i]
		if isStructOpsMap(m) {
			continue
		}
		o.claim(m.Key)
		o.claim(m.Value)
		if m.Inner != nil {
			o.claim(m.Inner.Key)
			o.claim(m.Inner.Value)
		}
	}
}

func (o *owner) claimSections(obj *object.Object) {
	for i := range obj.Sections {
		s := &obj.Sections[i]
		if s.Kind == object.Kconfig {
			continue
		}
		if s.Type != nil {
			o.own[s.Type] = true
		}
		for _, v := range s.Vars {
			o.claim(v.Type)
		}
	}
}

// given returns the types that the kernel passes and takes.
func given(obj *object.Object, l *layouts) map[btf.Type]bool {
	o := kernelInterface(obj, l)
	for i := range obj.Functions {
		if fn := &obj.Functions[i]; fn.Program() && !takesOwn(fn) && fn.Type != nil {
			o.claimSignature(fn.Type)
		}
	}
	o.claimPointees()
	return o.own
}

// takesOwn tells whether what a program is called with is a struct of its own: user space
// fills that of a system call's program.
func takesOwn(fn *object.Function) bool { return fn.Section == "syscall" }

// claimAllocated claims the types whose ids in its own BTF the program passes
// to the kernel, as bpf_obj_new does.
func (o *owner) claimAllocated(obj *object.Object) {
	for _, c := range obj.Code {
		for _, relo := range c.Relos {
			if relo.Kind == object.CORETypeIDLocal {
				o.claim(relo.Type)
			}
		}
	}
}

// isStructOpsMap tells whether a map is a struct_ops instance, whose value is
// the kernel's.
func isStructOpsMap(m *object.Map) bool {
	const structOps = 26 // BPF_MAP_TYPE_STRUCT_OPS
	return m.Type == structOps
}

// relocated claims the types of the kernel's that CO-RE relocations refer to,
// with what they hold by value.
func relocated(obj *object.Object, l *layouts) *owner {
	o := &owner{layouts: l, own: make(map[btf.Type]bool)}
	for _, c := range obj.Code {
		for _, relo := range c.Relos {
			if relo.Kind != object.CORETypeIDLocal {
				o.claim(relo.Type)
			}
		}
	}
	return o
}

// owner collects types.
type owner struct {
	*layouts
	kernel   map[btf.Type]bool
	own      map[btf.Type]bool
	passed   map[btf.Type]bool // arrays and pointers: hostile BTF has some that lead to themselves
	pointees []btf.Type        // still to be looked at
}

// claim adds a type and what it holds by value.
func (o *owner) claim(t btf.Type) {
	pending := []btf.Type{t}
	for len(pending) > 0 {
		t := o.canonical(pending[len(pending)-1])
		pending = pending[:len(pending)-1]
		if t == nil || o.own[t] {
			continue
		}
		switch t := t.(type) {
		case *btf.Struct:
			o.own[t] = true
			pending = append(pending, memberTypes(t.Members)...)
		case *btf.Union:
			o.own[t] = true
			pending = append(pending, memberTypes(t.Members)...)
		case *btf.Fwd:
			o.own[t] = true
		case *btf.Array:
			if o.pass(t) {
				pending = append(pending, t.Type)
			}
		case *btf.Pointer:
			if target, _, ok := o.pointee(t); ok && target != nil && o.pass(t) {
				o.pointees = append(o.pointees, target)
			}
		}
	}
}

// pass tells whether a type is met for the first time.
func (o *owner) pass(t btf.Type) bool {
	if o.passed[t] {
		return false
	}
	if o.passed == nil {
		o.passed = make(map[btf.Type]bool)
	}
	o.passed[t] = true
	return true
}

func memberTypes(members []btf.Member) []btf.Type {
	types := make([]btf.Type, len(members))
	for i, m := range members {
		types[i] = m.Type
	}
	return types
}
