package gen

import (
	"github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/runtime/ctype"
)

// kernelTypes returns the names of structs that belong to the kernel: what
// kfuncs and struct_ops callbacks take and return, what instructions read as a
// flavor of (task_struct___old), and what all that leads to. A pointer to one of them is not followed, since its
// layout is the guest kernel's and not the object's.
//
// A type that is missed does no harm: memory of the kernel is not in a
// snapshot of maps, so that a pointer to it reads as not captured.
func kernelTypes(obj *object.Object) map[string]bool {
	k := kernelWalk{names: make(map[string]bool), seen: make(map[btf.Type]bool)}
	for _, e := range obj.Externs {
		if e.Type != nil {
			k.add(e.Type)
		}
	}
	for i := range obj.Maps {
		if m := &obj.Maps[i]; m.Type == structOps && m.Value != nil {
			k.add(m.Value)
		}
	}
	for _, code := range obj.Code {
		for _, relo := range code.Relos {
			if relo.IsField() && relo.Type != nil && isFlavor(relo.Type.TypeName()) {
				k.add(relo.Type)
			}
		}
	}
	for len(k.queue) > 0 {
		t := k.queue[0]
		k.queue = k.queue[1:]
		k.visit(t)
	}
	return k.names
}

// isFlavor tells whether a type is a program's own view of one of the kernel's.
func isFlavor(name string) bool { return ctype.EssentialName(name) != name }

// structOps is BPF_MAP_TYPE_STRUCT_OPS.
const structOps = 26

type kernelWalk struct {
	names map[string]bool
	seen  map[btf.Type]bool
	queue []btf.Type
}

func (k *kernelWalk) add(t btf.Type) {
	if t != nil && !k.seen[t] {
		k.seen[t] = true
		k.queue = append(k.queue, t)
	}
}

func (k *kernelWalk) visit(t btf.Type) {
	switch t := btf.UnderlyingType(t).(type) {
	case *btf.Func:
		k.add(t.Type)
	case *btf.FuncProto:
		k.add(t.Return)
		for _, p := range t.Params {
			k.add(p.Type)
		}
	case *btf.Pointer:
		k.add(t.Target)
	case *btf.Struct:
		k.name(t.Name, t.Members)
	case *btf.Union:
		k.name(t.Name, t.Members)
	case *btf.Fwd:
		k.name(t.Name, nil)
	}
}

func (k *kernelWalk) name(name string, members []btf.Member) {
	if name != "" {
		k.names[ctype.EssentialName(name)] = true
	}
	for _, m := range members {
		k.add(m.Type)
	}
}
