package cast

// This file types pointers that nothing in the program's types names: those
// into memory that an allocator returned as void *, such as an arena. Which
// struct they lead to shows in how they are used: the offsets and sizes of the
// accesses through them, and the stride at which they are indexed. Only a
// struct of the program's own fits, and only if no other one does.

import (
	"cmp"
	"slices"

	"github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/runtime/ctype"
)

// kin is a partition of the slots: pointers are copied between those that are
// kin, so that they hold pointers to one type. Slots are numbered as they are
// met.
type kin struct {
	slots  []slot
	number map[slot]int32
	parent []int32
	isMet  []bool // since what is known of them was forgotten
}

// of returns the number that stands for the kin of s.
func (k *kin) of(s slot) int32 {
	n, ok := k.number[s]
	if !ok {
		n = int32(len(k.slots))
		k.number[s] = n
		k.slots, k.parent, k.isMet = append(k.slots, s), append(k.parent, n), append(k.isMet, true)
	}
	k.isMet[n] = true
	return k.root(n)
}

func (k *kin) root(n int32) int32 {
	for k.parent[n] != n {
		k.parent[n] = k.parent[k.parent[n]]
		n = k.parent[n]
	}
	return n
}

// maxKins is how many kins a value may come from before it is not followed.
const maxKins = 4

// kins is a small set of kins, and how far a pointer was moved since it was
// loaded. The zero value, of none, is bottom. It is comparable.
type kins struct {
	n      int8 // members of ids, ascending; more than maxKins is top
	ids    [maxKins]int32
	offset offset
}

func (a kins) join(b kins) kins {
	switch {
	case a.n == 0:
		return b
	case b.n == 0:
		return a
	}
	var all []int32
	if a.n <= maxKins && b.n <= maxKins {
		all = append(slices.Clone(a.ids[:a.n]), b.ids[:b.n]...)
		slices.Sort(all)
		all = slices.Compact(all)
	}
	if len(all) == 0 || len(all) > maxKins {
		return kins{n: maxKins + 1}
	}
	if a.ids != b.ids && a.offset != b.offset {
		return kins{n: maxKins + 1} // a part of one, and another one
	}
	out := kins{n: int8(len(all)), offset: a.offset.join(b.offset)}
	copy(out.ids[:], all)
	return out
}

// known tells whether it is a few kins at a known offset.
func (a kins) known() bool { return a.n > 0 && a.n <= maxKins && a.offset != anyOffset }

// merge makes the kins of a set one, and returns the number that stands for it.
func (e *engine) merge(k kins) int32 {
	for _, id := range k.ids[1:k.n] {
		e.unite(k.ids[0], id)
	}
	return e.kin.root(k.ids[0])
}

// unite makes two kins one.
func (e *engine) unite(a, b int32) {
	if a, b = e.kin.root(a), e.kin.root(b); a != b {
		e.kin.parent[max(a, b)] = min(a, b)
		e.changed = true
	}
}

// access is a load or store through a pointer.
type access struct {
	off  offset
	size int
}

// trace is an instruction that accesses something through a pointer of a kin.
type trace struct {
	kin int32
	access
	at instruction
}

// outline is what accesses show of the struct behind the pointers of a kin.
type outline []trace

// Bounds of an outline: more shows nothing new.
const (
	maxAccesses = 4096
	minMembers  = 3 // different ones that it takes to tell a struct, if it has as many
)

// traceAccess records an access through a pointer of which only the origin is
// known.
func (w *walk) traceAccess(like kins, off int64, size int) {
	if !like.known() {
		return
	}
	like.offset = like.offset.add(constant(off))
	root := w.merge(like)
	if like.offset.anywhere() || w.lineHasWord(size) {
		return // anywhere, or of any type
	}
	t := trace{root, access{like.offset, size}, instruction{w.fn.code, w.at}}
	w.flows.access(like, t)
	c := w.current
	if c.outline == nil {
		c.outline = make(map[trace]bool)
	}
	if len(c.outline) < maxAccesses {
		c.outline[t] = true
	}
}

// outlines adds up what all functions show, by the root of a kin.
func (e *engine) outlines() map[int32]outline {
	all := make(map[trace]bool)
	for _, contexts := range e.contexts {
		for _, c := range contexts {
			for t := range c.outline {
				t.kin = e.kin.root(t.kin)
				all[t] = true
			}
		}
	}
	for t := range e.outlined {
		t.kin = e.kin.root(t.kin)
		all[t] = true
	}
	byKin := make(map[int32]outline)
	for t := range settled(all) {
		byKin[t.kin] = append(byKin[t.kin], t)
	}
	return byKin
}

// settled returns traces without those of an instruction that another one of it covers: an
// access to an element was seen before it was known how far the loop around it moves on.
func settled(all map[trace]bool) map[trace]bool {
	type place struct {
		kin  int32
		size int
		at   instruction
	}
	moving := make(map[place][]offset)
	for t := range all {
		if p := (place{t.kin, t.size, t.at}); t.off.stride != 0 {
			moving[p] = append(moving[p], t.off)
		}
	}
	kept := make(map[trace]bool, len(all))
	for t := range all {
		covers := func(m offset) bool { return m != t.off && m.covers(t.off) }
		if !slices.ContainsFunc(moving[place{t.kin, t.size, t.at}], covers) {
			kept[t] = true
		}
	}
	return kept
}

// guess types the kin of which nothing else is known, and tells whether there
// was any.
func (e *engine) guess() bool {
	if e.without(shapes) {
		return false
	}
	guesses, outlines, places := e.siblings(), e.outlines(), e.places()
	if len(outlines) > 0 && e.candidates == nil {
		e.candidates, e.pointed = candidates(e.obj, e.layouts)
	}
	told := make(map[int32]bool) // by the names of members
	if e.part(guesses, outlines, places) {
		return true
	}
	for root, slots := range places {
		if _, known := guesses[root]; !known {
			guesses[root], told[root] = e.guessOf(slots, outlines[root])
		}
	}
	return e.believe(guesses, told)
}

// places returns the slots that are kin, by the root of their kin.
func (e *engine) places() map[int32][]slot {
	places := make(map[int32][]slot)
	for n, s := range e.kin.slots {
		if e.kin.isMet[n] {
			root := e.kin.root(int32(n))
			places[root] = append(places[root], s)
		}
	}
	return places
}

// refute sets the places apart that were taken for what accesses show that they do not lead
// to, before what followed from that counts. It tells whether there are new ones.
func (e *engine) refute() bool {
	guessed := make(map[int32]bool)
	for s, c := range e.cells {
		if c.shaped {
			guessed[e.kin.of(s)] = true
		}
	}
	if len(guessed) == 0 {
		return false
	}
	found := make(map[*part]bool)
	outlines, places := e.outlines(), e.places()
	for root, p := range e.siblings() {
		if guessed[root] && p.known() && !e.consistent(p.typ, outlines[root]) {
			e.setApart(places[root], found)
		}
	}
	if len(found) > 0 {
		e.forget(found)
	}
	return len(found) > 0
}

// guessOf is what the pointers in places that are kin lead to, if that can be guessed; told is
// whether the names of members tell that.
func (e *engine) guessOf(places []slot, o outline) (p pointer, told bool) {
	if p := e.alike(places); p.known() && e.consistent(p.typ, o) {
		return p, false
	}
	if t := e.fit(o, places); t != nil {
		named, _ := e.named(o)
		return typedPointer(t, ctype.SpaceUnknown), named == t
	}
	if p := e.takenFor(places); p.known() && e.consistent(p.typ, o) {
		return p, false
	}
	return pointer{}, false
}

// believe takes places for what is guessed of their kin, where nothing else is known, and
// tells whether there were any.
func (e *engine) believe(guesses map[int32]pointer, told map[int32]bool) bool {
	found := false
	for n, s := range e.kin.slots {
		p := guesses[e.kin.root(int32(n))]
		if c := e.cell(s); p.known() && c.pointer().state == noPointer {
			c.used, c.shared, c.shaped, found = p, c.shared.join(p), true, true
			c.told = told[e.kin.root(int32(n))]
			e.change()
			c.changed, c.reused = e.clock, e.clock
		}
	}
	return found
}

// alike returns what the content of places is used as where it may be that of others.
func (e *engine) alike(places []slot) (p pointer) {
	for _, s := range places {
		p = p.joinUse(e.cell(s).alike)
	}
	return p
}

// consistent tells whether the accesses of an outline are all to members of t, by
// their sizes and by the lines of C that say so.
func (e *engine) consistent(t btf.Type, o outline) bool {
	if isOpaqueType(t) {
		return true
	}
	if _, fits := e.hits(t, o); !fits {
		return false
	}
	holder := e.holderOf(t, o)
	return !slices.ContainsFunc(o, func(a trace) bool {
		name := accessedMember(a.at.code, a.at.at)
		return name != "" && !hasMemberAt(t, name, a.off, maxNesting) && !e.holds(holder, a)
	})
}

// part sets the places apart of pointers that no struct has all accesses of: those
// to different things were copied through one of them. It tells whether there are
// new ones; the analysis has to start again then, so that what is loaded from such
// a place is like nothing else.
func (e *engine) part(known map[int32]pointer, outlines map[int32]outline, places map[int32][]slot) bool {
	found := make(map[*part]bool)
	for root, p := range known {
		if !p.known() || e.consistent(p.typ, outlines[root]) {
			continue
		}
		known[root] = pointer{state: conflicting}
		e.setApart(places[root], found)
	}
	for _, slots := range places {
		if e.saysTwo(slots) {
			e.setApart(e.causes(slots), found)
		}
	}
	for s, c := range e.cells {
		if p := c.pointer(); p.known() && p.region == typed && !c.isMixed() && !e.agreesWithSources(c, outlines) {
			e.mixed[s], found[e.partOf(s)] = true, true
		}
	}
	if len(found) > 0 {
		e.forget(found)
	}
	return len(found) > 0
}

// setApart sets the places in memory apart, and adds the parts of those that were not.
func (e *engine) setApart(places []slot, found map[*part]bool) {
	for _, s := range places {
		if (s.kind == field || s.kind == mapSlot || s.kind == hiddenSlot) && !e.apart[s] {
			e.apart[s], found[e.partOf(s)] = true, true
		}
	}
}

// causes returns the places that lines say two things of by themselves, all if there
// are none that are not apart.
func (e *engine) causes(places []slot) []slot {
	causes := slices.DeleteFunc(slices.Clone(places), func(s slot) bool { return e.apart[s] || !e.saysTwo([]slot{s}) })
	if len(causes) == 0 {
		return places
	}
	return causes
}

// saysTwo tells whether lines say of places that they lead to structs of which neither
// begins with the other.
func (e *engine) saysTwo(places []slot) bool {
	var types []btf.Type
	var names []string
	namesOf := e.namesOf(places)
	for _, s := range places {
		for _, name := range namesOf(s) {
			if !slices.Contains(names, name) {
				names, types = append(names, name), append(types, e.structNamed(name))
			}
		}
	}
	for i, a := range types {
		for _, b := range types[:i] {
			if a == nil || b == nil || a != b && !beginsWith(a, b, maxNesting) && !beginsWith(b, a, maxNesting) {
				return true
			}
		}
	}
	return false
}

// isOpaqueType tells whether accesses say nothing of a type.
func isOpaqueType(t btf.Type) bool {
	_, declared := t.(*btf.Fwd)
	return declared || isScalar(t)
}

// agreesWithSources tells whether what is stored in a cell without a type can be of
// the type that the cell is found to lead to.
func (e *engine) agreesWithSources(c *cell, outlines map[int32]outline) bool {
	for id := range c.sources {
		if !e.fitsAround(c.pointer().typ, outlines[e.kin.root(id)]) {
			return false
		}
	}
	return true
}

// fitsAround tells whether all accesses of an outline may be through pointers to t, or to
// a struct that has such a part, where it can be told.
func (e *engine) fitsAround(t btf.Type, o outline) bool {
	if _, fits := e.hits(t, o); fits || isOpaqueType(t) {
		return true
	}
	holds := func(h memberHolder) bool {
		return !slices.ContainsFunc(o, func(a trace) bool { return !e.holds(&h, a) })
	}
	return slices.ContainsFunc(e.holdersOf(t), holds) ||
		slices.ContainsFunc(e.structs(), func(s *btf.Struct) bool { return startsWith(s, t) && holds(memberHolder{typ: s}) })
}

// siblings returns what the pointers of each kin lead to, by its root, where
// one of them has shown it.
func (e *engine) siblings() map[int32]pointer {
	known := make(map[int32]pointer)
	for s, c := range e.cells {
		if c.pointer().state == noPointer {
			continue
		}
		p := c.pointer()
		if c.isMixed() || !c.isFinding() {
			p = pointer{state: conflicting}
		}
		root := e.kin.of(s)
		known[root] = known[root].join(p)
	}
	return known
}

// fit returns the only type that an outline can be of, or nil. The lines of C
// that the accesses come from name members; others name types; if none does,
// what the accesses look like must tell.
func (e *engine) fit(o outline, places []slot) btf.Type {
	t, told := e.named(o)
	if t != nil {
		return t
	}
	if t, said := e.spoken(places); said || told {
		return t
	}
	if !o.varied() {
		return nil
	}
	var found btf.Type
	for _, t := range e.candidates {
		if n, ok := e.hits(t, o); !ok || !e.pointed[t] || n < min(minMembers, len(t.Members)) || n < 2 {
			continue
		}
		if found != nil {
			return nil
		}
		found = t
	}
	return found
}

// varied tells whether accesses differ in size: a row of words may be any.
func (o outline) varied() bool {
	return slices.ContainsFunc(o, func(t trace) bool { return t.size != o[0].size })
}

// hits returns how many different places of t the accesses reach; ok is false
// if one reaches none.
func (e *engine) hits(t btf.Type, o outline) (n int, ok bool) {
	places := make(map[place]bool)
	holder := e.holderOf(t, o)
	for _, trace := range o {
		if there, ok := e.layouts.at(t, trace.off, trace.size); ok {
			places[there] = true
		} else if !e.spans(t, trace.access) && !e.holds(holder, trace) {
			return 0, false
		}
	}
	return len(places), true
}

// spans tells whether an access reaches several members, from the start of one
// to the end of another, as compilers merge stores of zero.
func (e *engine) spans(t btf.Type, a access) bool {
	if _, ok := e.layouts.at(t, a.off, 0); !ok {
		return false
	}
	for last := 1; last < a.size; last *= 2 {
		if _, ok := e.layouts.at(t, a.off.add(constant(int64(a.size-last))), last); ok {
			return true
		}
	}
	return false
}

// candidates returns the program's own structs by name, without those that the
// kernel's interfaces, and CO-RE relocations, lead to; and which types there
// are pointers to.
func candidates(obj *object.Object, l *layouts) (own []*btf.Struct, pointed map[btf.Type]bool) {
	kernel := kernelInterface(obj, l).own
	for t, err := range obj.Types.All() {
		s, ok := t.(*btf.Struct)
		if err == nil && ok && s.Name != "" && !kernel[s] && !isView(s) && l.canonical(s) == s {
			own = append(own, s)
		}
	}
	slices.SortStableFunc(own, func(a, b *btf.Struct) int { return cmp.Compare(a.Name, b.Name) })
	return own, pointees(obj, l)
}

// pointees returns the types that pointers in maps, sections and functions lead
// to. A struct that the program has no pointer to by type is hardly one that it
// has by cast: clang leaves those that only casts name out of BTF.
func pointees(obj *object.Object, l *layouts) map[btf.Type]bool {
	o := &owner{layouts: l, own: make(map[btf.Type]bool)}
	for i := range obj.Maps {
		o.claim(obj.Maps[i].Key)
		o.claim(obj.Maps[i].Value)
	}
	for i := range obj.Sections {
		for _, v := range obj.Sections[i].Vars {
			o.claim(v.Type)
		}
	}
	for i := range obj.Functions {
		if fn := obj.Functions[i].Type; fn != nil {
			o.claimSignature(fn)
		}
	}
	pointed := make(map[btf.Type]bool)
	for len(o.pointees) > 0 {
		t := o.pointees[len(o.pointees)-1]
		o.pointees = o.pointees[:len(o.pointees)-1]
		if !pointed[t] {
			pointed[t] = true
			o.claim(t)
			o.claimSignature(t)
		}
	}
	return pointed
}

// claimSignature adds the types of a function's parameters and result.
func (o *owner) claimSignature(t btf.Type) {
	if fn, ok := t.(*btf.Func); ok {
		t = fn.Type
	}
	proto, ok := t.(*btf.FuncProto)
	if !ok {
		o.claim(t)
		return
	}
	o.claim(proto.Return)
	for _, p := range proto.Params {
		o.claim(p.Type)
	}
}
