package ktsnap

import "github.com/ktgen/ktgen/runtime/ctype"

// This file reads lists and trees without generated code: as arrays of the
// objects in them.

// nodeList is what the head of a list or a tree leads to.
type nodeList struct {
	objects []uint64 // canonical addresses
	elem    *ctype.Shape
	err     error // why there are no more; nil at the end
}

// len is how many elements the list is shown with: what is missing is one.
func (n *nodeList) len() int {
	if n.err != nil {
		return len(n.objects) + 1
	}
	return len(n.objects)
}

// graphKey names a head that was read before.
type graphKey struct {
	addr   uint64
	member *ctype.Member
}

// expand makes an array of the head of a list or tree, if member says what is
// in it.
func (v *Value) expand(member *ctype.Member) {
	head := v.shape.Underlying()
	if head.Kind == ctype.KindArray {
		v.heads = member
		return
	}
	n := v.nodeList(head, member)
	if n == nil {
		return
	}
	v.nodes = n
	v.shape = &ctype.Shape{Kind: ctype.KindArray, Size: head.Size, Elem: n.elem, Len: n.len()}
}

// nodeList goes through a list or tree, once if its address is known. It is nil
// if what is in it is not described.
func (v *Value) nodeList(head *ctype.Shape, member *ctype.Member) *nodeList {
	r, key := v.root.m.r, graphKey{v.addr, member}
	if known, ok := r.graphs.Load(key); ok && v.addr != 0 {
		return known.(*nodeList)
	}
	typ, node, _ := member.Contains()
	elem := r.named(v.root.m.m.Program, typ)
	if elem == nil || r.layouts.Check(elem) != nil {
		return nil
	}
	at, ok := elem.NodeAt(node)
	if !ok {
		return nil
	}
	word := ctype.IntPlace{Bits: 64}
	n := &nodeList{elem: elem}
	n.objects, n.err = r.memory().Nodes(head, elem, at, word.Load(v.data[:8]), word.Load(v.data[8:16]))
	if v.addr != 0 {
		r.graphs.Store(key, n)
	}
	return n
}

// enterNode goes to object i of the list or tree that v is.
func (v *Value) enterNode(i int) error {
	n, r := v.nodes, v.root.m.r
	if i >= len(n.objects) {
		return n.err
	}
	addr := n.objects[i]
	data, captured := r.memory().Value(addr, n.elem)
	if !captured {
		return r.memory().Missing(&ctype.Shape{Kind: ctype.KindPointer, Elem: n.elem}, addr, n.elem)
	}
	v.nodes, v.shape, v.data, v.addr = nil, n.elem, data, addr
	return nil
}

// named returns the struct of that name, of a program if that has one, or nil.
func (r *reader) named(p *Program, name string) *ctype.Shape {
	if p != nil {
		for _, s := range p.Shapes {
			if s != nil && s.Name == name && s.Kind == ctype.KindStruct {
				return s
			}
		}
	}
	if s, err := r.snapshot.Definition(&ctype.Shape{Kind: ctype.KindFwd, Name: name}); err == nil && s.Kind == ctype.KindStruct {
		return s
	}
	return nil
}
