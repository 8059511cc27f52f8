package chase

import (
	"encoding/binary"

	"github.com/ktgen/ktgen/freeze/internal/kmem"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// This file follows the links of lists and trees to the objects that a program
// has allocated and put into them.

// links is how objects hang together.
type links uint8

const (
	listLinks links = iota + 1 // struct list_head: next, prev
	treeLinks                  // struct rb_node: parent, right, left
)

const (
	listNodeSize = 16 // of what is read of a struct bpf_list_node_kern
	treeNodeSize = 24 // of what is read of a struct bpf_rb_node_kern
)

// graph plans the head of a list or tree, or an array of them. It returns false
// if the member is none, or does not say what is in it.
func (p *Planner) graph(plan *Plan, part *ctype.Part) bool {
	typ, node, ok := part.Member.Contains()
	if !ok {
		return false
	}
	elem := p.named(typ)
	if elem == nil {
		return false
	}
	at, ok := elem.NodeAt(node)
	if !ok {
		return false
	}
	kind := listLinks
	head := ctype.GraphHead(part.Shape)
	if head.Name == "bpf_rb_root" {
		kind = treeLinks
	}
	objects := p.object(elem)
	for i := 0; objects != nil && i+head.Size <= part.Shape.Size && !plan.cut; i += head.Size {
		plan.add(slot{offset: part.Offset + i, objects: objects, links: kind, node: at})
	}
	return true
}

// object returns the type of objects that a program allocates, nil if they are
// too large.
func (p *Planner) object(s *ctype.Shape) *Type {
	if known := p.allocated[s]; known != nil {
		return known
	}
	if s.Size <= 0 || s.Size > maxObject {
		return nil
	}
	t := &Type{Name: s.Name, Shape: s, own: true, open: s.OpenEnded()}
	p.allocated[s] = t
	t.plan = p.plan(s)
	return t
}

// node links an object into one list or tree. An object can have several.
type node struct {
	addr  kmem.Addr
	links links
}

// objects copies what a program has allocated and a slot leads to. Nodes that
// were found before are not passed again, and there are limits to how many
// objects are found.
func (c *Chase) objects(s *slot, data []byte) {
	first := kmem.Addr(binary.LittleEndian.Uint64(data[s.offset:]))
	switch s.links {
	case listLinks:
		last := kmem.Addr(binary.LittleEndian.Uint64(data[s.offset+8:]))
		c.list(s, first, last)
	case treeLinks:
		c.tree(s, first)
	default:
		if s.objects.each {
			c.perCPU(first, s.objects)
			return
		}
		c.allocated(first, s.objects)
	}
}

// list goes from the first node to the last.
func (c *Chase) list(s *slot, first, last kmem.Addr) {
	for addr := first; addr != 0; {
		links, err := c.mem.Peek(addr, listNodeSize, &c.node)
		if err != nil {
			c.allocated(addr-kmem.Addr(s.node), s.objects) // which notes why not
			return
		}
		next := kmem.Addr(binary.LittleEndian.Uint64(links))
		if next == addr || !c.pass(s, addr) || addr == last {
			return // next == addr is the head of an empty list
		}
		addr = next
	}
}

// tree goes through all nodes below one.
func (c *Chase) tree(s *slot, root kmem.Addr) {
	todo := []kmem.Addr{root}
	for len(todo) > 0 {
		addr := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if addr == 0 || !c.pass(s, addr) {
			continue
		}
		links, err := c.mem.Peek(addr, treeNodeSize, &c.node)
		if err != nil {
			continue
		}
		for _, at := range []int{8, 16} { // right, left
			todo = append(todo, kmem.Addr(binary.LittleEndian.Uint64(links[at:])))
		}
	}
}

// pass copies the object of a node. It returns false if what the node leads to is not to be
// looked at: the node was passed before, or the object is not copied.
func (c *Chase) pass(s *slot, addr kmem.Addr) bool {
	n := node{addr, s.links}
	if _, known := c.nodes[n]; known || !c.allocated(addr-kmem.Addr(s.node), s.objects) {
		return false
	}
	c.nodes[n] = struct{}{}
	return true
}

// allocated copies an object that a program has allocated, and has the pointers
// in it followed. It returns false if the object is not copied, now or before.
func (c *Chase) allocated(addr kmem.Addr, t *Type) bool {
	if addr == 0 {
		return false
	}
	if c.err = c.check(); c.err != nil {
		return false
	}
	found := len(c.Objects)
	c.object(target{addr, t}, c.limits.Depth)
	if len(c.Objects) == found {
		return c.seen[target{addr, t}]
	}
	if c.Objects[found].Fault != ktsnap.FaultNone {
		return false
	}
	if t.plan.live {
		c.visit(visit{addr, t.plan})
	}
	return true
}
