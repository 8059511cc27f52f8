package runtime

import (
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/internal/convert"
)

// This file makes the links of the lists and trees of fixtures, as the kernel
// has them.

// at begins the encoding of a value that is at an address. What is encoded into
// is a part of b, whose place its capacity tells.
func (e *encoder) at(addr uint64, b []byte) { e.base, e.room = addr, cap(b) }

// addr is the address of a part of the value that is encoded.
func (e *encoder) addr(b []byte) uint64 { return e.base + uint64(e.room-cap(b)) }

// graph writes the head of a list or tree, or an array of them.
func (e *encoder) graph(v reflect.Value, head *ctype.Shape, typ, node string, b []byte) error {
	if v.Kind() == reflect.Array {
		elem := head.Elem.Underlying()
		for i := range v.Len() {
			if err := e.graph(v.Index(i), elem, typ, node, b[i*elem.Size:][:elem.Size]); err != nil {
				return within(fmt.Sprintf("[%d]", i), err)
			}
		}
		return nil
	}
	nodes := e.generated.nodes(v.Interface())
	if len(nodes) == 0 {
		return e.value(v, head, b)
	}
	i := slices.IndexFunc(e.types, func(s *ctype.Shape) bool { return s.Kind == ctype.KindStruct && s.Name == typ })
	if i < 0 {
		return &FixtureError{Err: fmt.Errorf("its objects are of a struct %s that is not generated", typ)}
	}
	at, ok := e.types[i].NodeAt(node)
	if !ok {
		return &FixtureError{Err: fmt.Errorf("its objects have no member %s", node)}
	}
	addrs, err := e.placeNodes(nodes, e.types[i], uint64(at))
	if err != nil {
		return err
	}
	if head.Name == "bpf_rb_root" {
		copy(b, convert.Words(e.tree(addrs, e.addr(b), 0), addrs[0]))
		return nil
	}
	copy(b, convert.Words(addrs[0], addrs[len(addrs)-1]))
	e.list(addrs, e.addr(b))
	return nil
}

// placeNodes returns the addresses of the nodes in objects.
func (e *encoder) placeNodes(objects []reflect.Value, s *ctype.Shape, at uint64) ([]uint64, error) {
	if e.links == nil {
		e.links = make(map[uint64][]byte)
	}
	addrs := make([]uint64, len(objects))
	for i, object := range objects {
		path := fmt.Sprintf("[%d]", i)
		if object.IsNil() {
			return nil, &FixtureError{Path: path, Err: errors.New("it is nil")}
		}
		addr, err := e.place(object, s)
		if err != nil {
			return nil, within(path, err)
		}
		if addr < heapAddr || addr >= heapAddr+uint64(len(e.heap)) {
			return nil, &FixtureError{Path: path, Err: errors.New("it is an entry of a map, and objects of lists and trees have memory of their own")}
		}
		addrs[i] = addr + at
		if e.links[addrs[i]] != nil {
			return nil, &FixtureError{Path: path, Err: errors.New("it is in a list or tree twice")}
		}
		e.links[addrs[i]] = convert.Words(0)
	}
	return addrs, nil
}

// list links nodes in a circle with their head.
func (e *encoder) list(addrs []uint64, head uint64) {
	for i, addr := range addrs {
		previous, next := head, head
		if i > 0 {
			previous = addrs[i-1]
		}
		if i+1 < len(addrs) {
			next = addrs[i+1]
		}
		e.links[addr] = convert.Words(next, previous, head)
	}
}

// tree links nodes, and returns the one on top.
func (e *encoder) tree(addrs []uint64, owner, parent uint64) uint64 {
	if len(addrs) == 0 {
		return 0
	}
	middle := len(addrs) / 2
	top := addrs[middle]
	left, right := e.tree(addrs[:middle], owner, top), e.tree(addrs[middle+1:], owner, top)
	e.links[top] = convert.Words(parent|ctype.RBBlack, right, left, owner)
	return top
}
