package runtime

import (
	"iter"
	"reflect"
	"slices"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// This file reads lists and trees of objects that a program has allocated (bpf_obj_new,
// Documentation/bpf/graph_ds_impl.rst). The head of one says by a decl tag what is in it:
//
//	struct bpf_list_head queue __contains(request, node);
//
//	head ──► request.node ──► request.node ──► head

// nodes are the objects of type T in a list or a tree.
type nodes[T any] struct {
	b      *Binding
	typ    int    // in Layout.Types
	member string // of T, which links them
	decode Decode[T]
	given  []*T // of a fixture; nothing else is set
}

// objects ranges over the objects, and fails where the links lead nowhere.
func (n *nodes[T]) objects(kind string, head *ctype.Shape, first, last ktsnap.Address) iter.Seq[*T] {
	return func(yield func(*T) bool) {
		if n == nil {
			return
		}
		if n.b == nil {
			slices.Values(n.given)(yield)
			return
		}
		addrs, err := n.addrs(head, uint64(first), uint64(last))
		for _, addr := range addrs {
			if !yield(LoadAt(n.b, ktsnap.Address(addr), n.typ, n.decode)) {
				return
			}
		}
		if err != nil {
			n.b.fail(&ktsnap.Error{Op: "All", Path: "(" + kind + " of " + ctype.Spell(n.b.shapes.types[n.typ]) + ")", Addr: uint64(first), Err: err})
		}
	}
}

// addrs returns the addresses of the objects, and why it is not known what follows.
func (n *nodes[T]) addrs(head *ctype.Shape, first, last uint64) ([]uint64, error) {
	b, bound, elem := n.b, &n.b.types[n.typ], n.b.shapes.types[n.typ]
	if bound.shape == nil {
		return nil, &ktsnap.NotBoundError{Type: ctype.Spell(elem), Reason: bound.why}
	}
	at, ok := bound.shape.Underlying().NodeAt(n.member)
	if !ok {
		return nil, &ktsnap.NotBoundError{Type: ctype.Spell(elem), Reason: "it has no member " + n.member + " in the guest"}
	}
	return b.memory().Nodes(head, elem, at, first, last)
}

// List is a struct bpf_list_head: a list of objects that the program has
// allocated, from the first to the last.
type List[T any] struct {
	ListHead
	nodes *nodes[T]
}

// Tree is a struct bpf_rb_root: objects that the program has allocated, in the
// order that it keeps them in.
type Tree[T any] struct {
	RBRoot
	nodes *nodes[T]
}

var (
	listHead = &ctype.Shape{Kind: ctype.KindStruct, Name: "bpf_list_head", Size: ctype.HeadSize}
	treeRoot = &ctype.Shape{Kind: ctype.KindStruct, Name: "bpf_rb_root", Size: ctype.HeadSize}
)

// ListAt returns a list of objects of type typ of the layout, which their member links.
func ListAt[T any](d *Decoder, b []byte, typ int, member string, decode Decode[T]) List[T] {
	return List[T]{LoadListHead(b), boundNodes(d, typ, member, decode)}
}

// TreeAt returns a tree of objects of type typ of the layout, which their member links.
func TreeAt[T any](d *Decoder, b []byte, typ int, member string, decode Decode[T]) Tree[T] {
	return Tree[T]{LoadRBRoot(b), boundNodes(d, typ, member, decode)}
}

func boundNodes[T any](d *Decoder, typ int, member string, decode Decode[T]) *nodes[T] {
	if d == nil {
		return nil
	}
	return &nodes[T]{b: d.b, typ: typ, member: member, decode: decode}
}

// ListOf returns a list for a fixture.
func ListOf[T any](objects ...*T) List[T] { return List[T]{nodes: &nodes[T]{given: objects}} }

// TreeOf returns a tree for a fixture, of objects in their order.
func TreeOf[T any](objects ...*T) Tree[T] { return Tree[T]{nodes: &nodes[T]{given: objects}} }

// All ranges over the objects from the first to the last. It fails at an object that is
// not in the snapshot, with a [*ktsnap.NotCapturedError], a [*ktsnap.NotFollowedError] or
// an [*ktsnap.UnreadableError]. If the links go around in a circle it fails with a
// [*ktsnap.ContradictionError].
func (l List[T]) All() iter.Seq[*T] { return l.nodes.objects("list", listHead, l.Next, l.Prev) }

// Slice returns the objects from the first to the last. It fails as [List.All] does.
func (l List[T]) Slice() []*T { return slices.Collect(l.All()) }

// Len returns the number of objects. It fails as [List.All] does.
func (l List[T]) Len() int { return length(l.All()) }

// IsEmpty tells whether there is nothing in the list. It fails as [List.All] does.
func (l List[T]) IsEmpty() bool { return isEmpty(l.All()) }

// All ranges over the objects in their order. It fails as [List.All] does.
func (t Tree[T]) All() iter.Seq[*T] { return t.nodes.objects("tree", treeRoot, t.Root, 0) }

// Slice returns the objects in their order. It fails as [List.All] does.
func (t Tree[T]) Slice() []*T { return slices.Collect(t.All()) }

// Len returns the number of objects. It fails as [List.All] does.
func (t Tree[T]) Len() int { return length(t.All()) }

// IsEmpty tells whether there is nothing in the tree.
func (t Tree[T]) IsEmpty() bool { return isEmpty(t.All()) }

func length[T any](all iter.Seq[T]) (n int) {
	for range all {
		n++
	}
	return n
}

func isEmpty[T any](all iter.Seq[T]) bool {
	for range all {
		return false
	}
	return true
}

// givenNodes is a list, a tree or a pointer to objects of each CPU, of a fixture.
type givenNodes interface{ givenNodes() []reflect.Value } // pointers

func pointersTo[T any](objects []*T) (values []reflect.Value) {
	for _, v := range objects {
		values = append(values, reflect.ValueOf(v))
	}
	return values
}

func (n *nodes[T]) values() []reflect.Value {
	if n == nil {
		return nil
	}
	return pointersTo(n.given)
}

func (l List[T]) givenNodes() []reflect.Value { return l.nodes.values() }
func (t Tree[T]) givenNodes() []reflect.Value { return t.nodes.values() }
