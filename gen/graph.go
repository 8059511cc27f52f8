package gen

import (
	"github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/gen/internal/gofile"
	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/runtime/ctype"
)

// This file generates lists and trees whose objects the program says: the
// members with a decl tag "contains:struct:member" (bpf_list_head, bpf_rb_root).

// allocatedTypes returns the names of the structs that an object allocates:
// bpf_obj_new takes the id of one in the program's BTF.
func allocatedTypes(obj *object.Object) map[string]bool {
	names := make(map[string]bool)
	for _, code := range obj.Code {
		for _, relo := range code.Relos {
			if t, ok := btf.UnderlyingType(relo.Type).(*btf.Struct); ok && relo.Kind == object.CORETypeIDLocal && t.Name != "" {
				names[t.Name] = true
			}
		}
	}
	return names
}

// collectObjects finds the types of the objects in the lists and trees of all
// types that are declared, and those of what is in these in turn.
func (b *builder) collectObjects() error {
	b.objects = make(map[string]*ctype.Shape)
	for _, s := range b.sections {
		if err := b.objectsIn(s.shape.Members); err != nil {
			return err
		}
	}
	for i := 0; i < len(b.types.decls); i++ { // which grow meanwhile
		if err := b.objectsIn(b.types.decls[i].shape.Members); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) objectsIn(members []ctype.Member) error {
	for _, m := range members {
		typ, node, ok := m.Contains()
		if !ok {
			continue
		}
		if err := b.collectObject(typ); err != nil {
			return err
		}
		objects := b.objects[typ]
		if objects == nil {
			b.warnf("%s is read without its objects: the object has no struct %s, or several (have __contains name one that it defines)", m.Name, typ)
		} else if _, ok := objects.NodeAt(node); !ok {
			b.warnf("%s is read without its objects: struct %s has no member %s that links them (have __contains name its bpf_list_node or bpf_rb_node)", m.Name, typ, node)
		}
	}
	return nil
}

// collectObject finds a type of objects, if the object describes it.
func (b *builder) collectObject(name string) error {
	d := b.definition(name)
	if d == nil || b.objects[name] != nil {
		return nil
	}
	if _, ok := d.typ.(*btf.Struct); !ok {
		return nil
	}
	shape, err := b.pruned(d.shape())
	if err != nil {
		return err
	}
	b.objects[name] = shape
	b.types.collect(shape, place{member: exported(name)})
	return nil
}

// objectsOf returns the type of the objects in the lists or trees that a member
// is, and the member that links them; nil if they cannot be read.
func (b *builder) objectsOf(m ctype.Member) (objects *ctype.Shape, node string) {
	typ, node, ok := m.Contains()
	if !ok || b.objects[typ] == nil {
		return nil, ""
	}
	if _, ok := b.objects[typ].NodeAt(node); !ok {
		return nil, ""
	}
	return b.objects[typ], node
}

// graph returns the Go type of a head, or of an array of heads, and how it is
// loaded.
func (b *builder) graph(head, objects *ctype.Shape, node string) (gofile.GoType, gofile.LoadStep) {
	u := head.Underlying()
	if u.Kind == ctype.KindArray {
		elemType, elemLoad := b.graph(u.Elem, objects, node)
		return gofile.GoType{Kind: gofile.Array, Elem: &elemType, Len: u.Len}, gofile.LoadStep{Op: gofile.LoadArray, Size: u.Size, Elem: &elemLoad, Len: u.Len}
	}
	name := "List"
	if u.Name == "bpf_rb_root" {
		name = "Tree"
	}
	elem, _ := b.value(objects, false)
	t := gofile.GoType{Kind: gofile.Runtime, Name: name, Elem: &elem}
	return t, gofile.LoadStep{Op: gofile.LoadGraph, Size: u.Size, Type: t, Codec: b.codec(objects).Name, ID: b.valueID(objects), Node: node}
}
