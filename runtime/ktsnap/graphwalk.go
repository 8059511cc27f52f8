package ktsnap

import (
	"fmt"

	"github.com/ktgen/ktgen/runtime/ctype"
)

// maxNodes bounds the nodes of one list or tree.
const maxNodes = 1 << 20

// graphWalk goes through the nodes of a list or tree.
type graphWalk struct {
	mem     *Memory
	at      int          // where in an object its node is, in bytes
	elem    *ctype.Shape // of the objects
	seen    map[uint64]bool
	objects []uint64 // canonical addresses, in order
}

// words reads the first words of what is at an address.
func (w *graphWalk) words(addr uint64, n int) (words [ctype.TreeWords]uint64, ok bool) {
	raw, ok := w.mem.Read(w.mem.Canonical(addr), 8*n)
	for i := range n {
		if ok {
			words[i] = ctype.IntPlace{Bits: 64}.Load(raw[8*i:][:8])
		}
	}
	return words, ok
}

// node reads a node, and notes the object that it is in. It fails at one that
// was there before.
func (w *graphWalk) node(addr uint64, n int) (words [ctype.TreeWords]uint64, err error) {
	words, ok := w.words(addr, n)
	object := addr - uint64(w.at)
	switch {
	case !ok:
		return words, w.missing(object)
	case w.seen[addr]:
		return words, &ContradictionError{Addr: object, Type: ctype.Spell(w.elem), Found: "a node that was passed before: the links go around in a circle"}
	case len(w.seen) >= maxNodes:
		return words, &NotFollowedError{Addr: object, Reason: fmt.Sprintf("there are more than %d nodes before it", maxNodes)}
	}
	w.seen[addr] = true
	return words, nil
}

// Missing says why the object at an address cannot be read.
func (w *graphWalk) missing(object uint64) error {
	if o := w.mem.lost[object]; o != nil {
		return o.Err()
	}
	return w.mem.Missing(&ctype.Shape{Kind: ctype.KindPointer}, object, w.elem)
}

func (w *graphWalk) add(addr uint64) {
	w.objects = append(w.objects, w.mem.Canonical(addr-uint64(w.at)))
}

// list goes from the first node to the last (struct bpf_list_node_kern,
// include/linux/bpf.h). Where the head is need not be known: the last node's
// next is its owner, the head.
func (w *graphWalk) list(first, last uint64) error {
	if head, ok := w.words(first, 1); first == 0 || ok && head[0] == first {
		return nil // first is the head itself
	}
	for addr := first; ; {
		links, err := w.node(addr, ctype.ListWords)
		if err != nil {
			return err
		}
		w.add(addr)
		next, owner := links[0], links[2]
		switch {
		case addr == last || next == owner:
			return nil
		case next == 0:
			return &ContradictionError{Addr: addr - uint64(w.at), Type: ctype.Spell(w.elem), Found: "a node that is in no list: it leads to NULL"}
		}
		addr = next
	}
}

// tree goes through the nodes in their order (struct bpf_rb_node_kern).
func (w *graphWalk) tree(root uint64) error {
	type step struct{ addr, right uint64 }
	var above []step // nodes whose left side is being looked at
	for addr := root; addr != 0 || len(above) > 0; {
		for addr != 0 {
			links, err := w.node(addr, ctype.TreeWords)
			if err != nil {
				return err
			}
			above = append(above, step{addr, links[1]})
			addr = links[2]
		}
		last := above[len(above)-1]
		above = above[:len(above)-1]
		w.add(last.addr)
		addr = last.right
	}
	return nil
}

// Nodes returns the canonical addresses of the objects of type elem in the list or
// tree of a head, whose two words are first and last, in order. Their nodes are at
// bytes into them. The error says why it is not known what follows.
func (m *Memory) Nodes(head, elem *ctype.Shape, at int, first, last uint64) ([]uint64, error) {
	w := &graphWalk{mem: m, at: at, elem: elem, seen: make(map[uint64]bool)}
	if head.Name == "bpf_rb_root" {
		err := w.tree(first)
		return w.objects, err
	}
	err := w.list(first, last)
	return w.objects, err
}
