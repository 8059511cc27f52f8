package btf

// This file bounds how deeply a recursive decoder can be led into BTF.
//
// cilium/ebpf decodes a type together with everything it refers to, recursing
// once per reference, with a stack frame of about 2.5 KiB. A chain of 220,000
// types, 5 MB of BTF, exhausts the goroutine stack, which ends the process. The
// longest path that such a decoder can take, from whichever type it starts, is
// bounded by the longest path through the graph's strongly connected
// components, each counted with all its types.

import (
	"github.com/cilium/ebpf/btf"
)

// maxDepth bounds the references a decoder may have open at once, which is
// about 80 MiB of stack. The bound of Debian's 7.3 kernel is 5,048.
const maxDepth = 1 << 15

// graph is the references between types in compressed form: type i refers to
// edges[first[i]:first[i+1]].
type graph struct {
	first []int32
	edges []uint32
}

func (g *graph) out(id uint32) []uint32 { return g.edges[g.first[id]:g.first[id+1]] }

// checkDepth fails if decoding could recurse more than maxDepth deep.
func (r *raw) checkDepth(count int) error {
	if count <= maxDepth {
		return nil
	}
	if depth := r.graph(count).longestPath(); depth > maxDepth {
		return headerError(12, "types refer to one another in chains of up to %d, more than %d", depth, maxDepth)
	}
	return nil
}

// graph collects the references in both directions that decoding follows: a
// declaration tag is decoded with the type that it tags.
func (r *raw) graph(count int) *graph {
	tags := make(map[uint32][]uint32)
	g := &graph{first: make([]int32, 1, count+2)}
	r.each(func(id btf.TypeID, rec record) error {
		if rec.kind == kindDeclTag {
			tags[rec.sizeType] = append(tags[rec.sizeType], uint32(id))
		}
		return nil
	})
	g.first = append(g.first, 0) // void refers to nothing
	r.each(func(id btf.TypeID, rec record) error {
		g.edges = r.refs(rec, g.edges)
		g.edges = append(g.edges, tags[uint32(id)]...)
		g.first = append(g.first, int32(len(g.edges)))
		return nil
	})
	return g
}

// longestPath bounds the number of types on any path without repetition. It is
// Tarjan's algorithm with an explicit stack; components come out callees
// first, so a component's bound is known from those it refers to.
func (g *graph) longestPath() int {
	n := len(g.first) - 1
	t := tarjan{
		graph: g,
		index: make([]int32, n),
		low:   make([]int32, n),
		depth: make([]int32, n),
	}
	longest := int32(0)
	for id := range n {
		if t.index[id] == 0 {
			t.visit(uint32(id))
		}
		longest = max(longest, t.depth[id])
	}
	return int(longest)
}

type tarjan struct {
	*graph
	next  int32
	index []int32 // order of discovery from 1; 0 is undiscovered
	low   []int32
	depth []int32 // longest path from here, once the component is closed; 0 while open
	open  []uint32
}

type frame struct {
	id   uint32
	edge int // next edge to follow
}

func (t *tarjan) enter(id uint32) frame {
	t.next++
	t.index[id], t.low[id] = t.next, t.next
	t.open = append(t.open, id)
	return frame{id: id}
}

func (t *tarjan) visit(root uint32) {
	path := []frame{t.enter(root)}
	for len(path) > 0 {
		top := &path[len(path)-1]
		if out := t.out(top.id); top.edge < len(out) {
			to := out[top.edge]
			top.edge++
			switch {
			case t.index[to] == 0:
				path = append(path, t.enter(to))
			case t.depth[to] == 0:
				t.low[top.id] = min(t.low[top.id], t.index[to])
			}
			continue
		}
		done := top.id
		path = path[:len(path)-1]
		if len(path) > 0 {
			parent := path[len(path)-1].id
			t.low[parent] = min(t.low[parent], t.low[done])
		}
		if t.low[done] == t.index[done] {
			t.close(done)
		}
	}
}

// close takes the component that root was first in off the open types.
func (t *tarjan) close(root uint32) {
	start := len(t.open) - 1
	for t.open[start] != root {
		start--
	}
	component := t.open[start:]
	beyond := int32(0)
	for _, id := range component {
		for _, to := range t.out(id) {
			beyond = max(beyond, t.depth[to])
		}
	}
	for _, id := range component {
		t.depth[id] = beyond + int32(len(component))
	}
	t.open = t.open[:start]
}
