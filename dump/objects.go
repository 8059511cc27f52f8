package dump

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// This file compares what pointers of two snapshots lead to outside of maps: objects in arenas, and
// others that programs have allocated.

// object is one of them.
type object struct {
	id    objectID
	path  string // the shortest one, or its type and address if that is long
	hops  int    // pointers on its path
	value ktsnap.Value
}

// objectID is what two snapshots have in common.
type objectID struct {
	arena string // empty for what is in none
	at    uint64 // in its arena, or an address of the kernel
	typ   string
}

func (o *object) end() uint64 { return o.id.at + uint64(o.value.Size()) }

const (
	maxHops    = 3       // of a path
	maxObjects = 1 << 18 // that are compared
)

// objects are those of a snapshot, in the order of their hops.
type objects struct {
	snap     *ktsnap.Snapshot
	sections []ktsnap.Value // variables in arenas, which are compared as such
	all      []object
	index    map[objectID]int
}

func objectsOf(s *ktsnap.Snapshot) *objects {
	o := &objects{snap: s, index: make(map[objectID]int)}
	for _, section := range s.ArenaSections() {
		if v := s.MapByID(section.Is.ID).At(0).Get(""); v.Err() == nil {
			o.sections = append(o.sections, v)
		}
	}
	hops := 0
	p := pather{yield: func(string) bool { return true }, holds: make(map[*ctype.Shape]bool), pointer: func(path string, v *ktsnap.Value) { o.meet(path, hops, v.Deref()) }}
	for _, v := range s.Views() {
		p.view(v)
	}
	for i := 0; i < len(o.all); i++ {
		at := o.all[i]
		hops = at.hops
		p.value(at.path, &at.value, maxDepth)
	}
	return o
}

// meet notes what a pointer at a path leads to.
func (o *objects) meet(path string, hops int, to ktsnap.Value) {
	if to.Err() != nil || len(o.all) == maxObjects {
		return
	}
	shape := to.Shape().Underlying()
	id := objectID{at: to.Addr(), typ: ctype.Spell(shape)}
	span, captured := o.snap.Memory().Span(to.Addr())
	switch {
	case captured && span.Owner != nil && span.Owner.Type == ktsnap.MapTypeArena:
		if slices.ContainsFunc(o.sections, func(s ktsnap.Value) bool { return lies(to.Addr(), s) }) {
			return
		}
		w, _ := span.Owner.Window()
		id.arena, id.at = span.Owner.Name, id.at-w.User
	default:
		k := o.snap.Memory().KernelObject(to.Addr(), shape.Name)
		if k == nil || !k.Allocated {
			return // an entry of a map, or the kernel's
		}
	}
	if _, there := o.index[id]; there {
		return
	}
	if to.Kind() != "Struct" && to.Kind() != "Union" {
		path = "*" + path
	}
	if hops == maxHops {
		path = fmt.Sprintf("(%s)%#x", id.typ, to.Addr())
	} else {
		hops++
	}
	o.index[id] = len(o.all)
	o.all = append(o.all, object{id, path, hops, to})
}

func lies(addr uint64, v ktsnap.Value) bool {
	return addr >= v.Addr() && addr-v.Addr() < uint64(v.Size())
}

// outer leaves out objects that are a part of another one.
func (o *objects) outer() []object {
	order := make([]*object, len(o.all))
	for i := range o.all {
		order[i] = &o.all[i]
	}
	slices.SortStableFunc(order, func(a, b *object) int {
		return cmp.Or(cmp.Compare(a.id.arena, b.id.arena), cmp.Compare(a.id.at, b.id.at), cmp.Compare(b.value.Size(), a.value.Size()))
	})
	parts := make(map[objectID]bool)
	var last *object
	for _, x := range order {
		if last != nil && last.id.arena == x.id.arena && x.end() <= last.end() {
			parts[x.id] = true
		} else {
			last = x
		}
	}
	return slices.DeleteFunc(slices.Clone(o.all), func(x object) bool { return parts[x.id] })
}

// covered tells, of the arena of a map, which bytes are compared: by where they begin and end, in order.
func (o *objects) covered(arena *ktsnap.Map) (all [][2]uint64) {
	w, _ := arena.Window()
	for _, x := range o.all {
		if x.id.arena == arena.Name {
			all = append(all, [2]uint64{x.id.at, x.end()})
		}
	}
	for _, s := range o.sections {
		if from := s.Addr() - w.User; s.Addr() >= w.User {
			all = append(all, [2]uint64{from, from + uint64(s.Size())})
		}
	}
	return all
}

// objects compares what pointers of both snapshots lead to, and then what no pointer leads to.
func (d *differ) objects(a, b *ktsnap.Snapshot) {
	ours, theirs := objectsOf(a), objectsOf(b)
	for _, x := range ours.outer() {
		if i, there := theirs.index[x.id]; there {
			d.values(x.path, &x.value, &theirs.all[i].value, maxDepth)
		} else {
			d.report(Change{Path: x.path, Old: oneLine(&x.value), What: "removed"})
		}
	}
	for _, x := range theirs.outer() {
		if _, there := ours.index[x.id]; !there {
			d.report(Change{Path: x.path, New: oneLine(&x.value), What: "added"})
		}
	}
	_, before := named(a)
	keys, after := named(b)
	for _, key := range keys {
		if v, there := before[key]; there && key.typ == ktsnap.MapTypeArena {
			d.pages(v, after[key], append(ours.covered(v.Map()), theirs.covered(after[key].Map())...))
		}
	}
}

// pages compares the pages of an arena where no object is known.
func (d *differ) pages(v, w ktsnap.MapView, known [][2]uint64) {
	known = joinedRanges(known)
	ours, theirs := pagesOf(v.Map()), pagesOf(w.Map())
	differ := 0
	for at, page := range ours {
		if other, there := theirs[at]; there {
			differ += unlike(at, page, other, known)
		} else {
			differ += unlike(at, page, make([]byte, len(page)), known)
		}
	}
	for at, page := range theirs {
		if _, there := ours[at]; !there {
			differ += unlike(at, page, make([]byte, len(page)), known)
		}
	}
	if differ == 0 && len(ours) == len(theirs) {
		return
	}
	is := fmt.Sprintf("pages: %d", len(theirs))
	if differ > 0 {
		is += fmt.Sprintf(", and %d bytes differ that no pointer leads to", differ)
	}
	d.report(Change{Path: v.Path(), Old: fmt.Sprintf("pages: %d", len(ours)), New: is, What: "changed"})
}

// joinedRanges are ranges in their order, of which none touches another.
func joinedRanges(all [][2]uint64) (joined [][2]uint64) {
	slices.SortFunc(all, func(a, b [2]uint64) int { return cmp.Compare(a[0], b[0]) })
	for _, r := range all {
		if last := len(joined) - 1; last >= 0 && r[0] <= joined[last][1] {
			joined[last][1] = max(joined[last][1], r[1])
		} else {
			joined = append(joined, r)
		}
	}
	return joined
}

const pageSize = 4096

// pagesOf are the pages of an arena, by where they begin in it. The last one can be cut.
func pagesOf(m *ktsnap.Map) map[uint64][]byte {
	pages := make(map[uint64][]byte)
	w, _ := m.Window()
	for _, e := range m.Extents {
		for off := 0; off < len(e.Data); off += pageSize {
			pages[e.Addr-w.User+uint64(off)] = e.Data[off:min(off+pageSize, len(e.Data))]
		}
	}
	return pages
}

// unlike counts the bytes of two pages that differ, but for those of known ranges, which are in their
// order.
func unlike(at uint64, a, b []byte, known [][2]uint64) (n int) {
	if slices.Equal(a, b) {
		return 0
	}
	i, _ := slices.BinarySearchFunc(known, at, func(r [2]uint64, at uint64) int { return cmp.Compare(r[1], at) })
	for off := range min(len(a), len(b)) {
		if a[off] == b[off] {
			continue
		}
		here := at + uint64(off)
		for i < len(known) && known[i][1] <= here {
			i++
		}
		if i == len(known) || here < known[i][0] {
			n++
		}
	}
	return n + max(len(a), len(b)) - min(len(a), len(b))
}
