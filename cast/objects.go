package cast

// This file tells objects apart: variables, the values of a map, and what each call of an
// allocator returns, by the calls that lead there. The content of a place is that of all
// objects until it turns out to hold different things: from then on it is told apart by
// the object that the place is in. So two lists of one kind do not mix what they hold.

import (
	"encoding/binary"
	"maps"
	"regexp"
	"slices"

	"github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/object"
)

// maxSites is how many of the calls that lead to an allocation tell objects apart.
const maxSites = 2

// objectKey is an object: the variable or map that at is of, or what the call at a result
// returns where the sites call the function that it is in, the nearest first.
type objectKey struct {
	at    slot
	sites [maxSites]int32
}

// objectSet is a number of a set of objects that a pointer may lead into. Which of them
// is zero is bottom: none that is known yet.
type objectSet int32

const (
	noObject    objectSet = 0
	anyObject   objectSet = -1 // top
	laterObject objectSet = -2 // as noObject, of a value that would be taken to lead into any
)

// maxObjects is how many objects a pointer may lead to before they are not followed.
const maxObjects = 8

// objects numbers objects and sets of them.
type objects struct {
	ids    map[objectKey]int32
	keys   []objectKey // by number, from 1
	sets   [][]int32   // by number; ascending
	number map[string]objectSet
	unions map[[2]objectSet]objectSet
	sites  map[instruction]int32
}

func newObjects() *objects {
	return &objects{
		ids: make(map[objectKey]int32), keys: make([]objectKey, 1), sets: make([][]int32, 1),
		number: make(map[string]objectSet), unions: make(map[[2]objectSet]objectSet), sites: make(map[instruction]int32),
	}
}

// site returns the number of a call, from 1.
func (o *objects) site(at instruction) int32 {
	n, ok := o.sites[at]
	if !ok {
		n = int32(len(o.sites) + 1)
		o.sites[at] = n
	}
	return n
}

// one returns the set of an object.
func (o *objects) one(k objectKey) objectSet {
	id, ok := o.ids[k]
	if !ok {
		id = int32(len(o.keys))
		o.ids[k], o.keys = id, append(o.keys, k)
	}
	return o.set([]int32{id})
}

func (o *objects) set(ids []int32) objectSet {
	var key []byte
	for _, id := range ids {
		key = binary.LittleEndian.AppendUint32(key, uint32(id))
	}
	n, ok := o.number[string(key)]
	if !ok {
		n = objectSet(len(o.sets))
		o.number[string(key)], o.sets = n, append(o.sets, ids)
	}
	return n
}

// union returns the objects of two sets, anyObject if these are too many.
func (o *objects) union(a, b objectSet) objectSet {
	switch {
	case a == b || b == noObject || b == laterObject && a != noObject:
		return a
	case a == noObject || a == laterObject:
		return b
	case a == anyObject || b == anyObject:
		return anyObject
	}
	key := [2]objectSet{min(a, b), max(a, b)}
	both, ok := o.unions[key]
	if !ok {
		both = anyObject
		ids := slices.Concat(o.sets[a], o.sets[b])
		slices.Sort(ids)
		if ids = slices.Compact(ids); len(ids) <= maxObjects {
			both = o.set(ids)
		}
		o.unions[key] = both
	}
	return both
}

// in returns the objects of a set.
func (o *objects) in(s objectSet) []int32 {
	if s < 0 {
		return nil
	}
	return o.sets[s]
}

// objectsOf returns the objects that a value may lead into: none that is known yet where
// it was loaded from memory, and any where it comes from outside.
func (e *engine) objectsOf(v value) objectSet {
	switch {
	case v.objects == laterObject:
		return noObject
	case v.objects != noObject:
		return v.objects
	case e.without(instances):
		return anyObject
	case v.ptr.known() && v.ptr.region == typed && isSection(v.ptr.typ):
		return e.variableOf(v.ptr)
	case v.ptr.state == noPointer && v.flags&isOpaque == 0 && v.from.state == noOrigin:
		return noObject // a number, or zero
	case v.from.state == manyOrigins, v.from.state == oneOrigin && v.from.slot.isMemory():
		return noObject
	}
	return anyObject
}

// isMemory tells whether a slot is a place in memory of the program's.
func (s slot) isMemory() bool {
	switch s.kind {
	case field, mapSlot, headerSlot, payloadSlot, hiddenSlot, declaredSlot, wordSlot:
		return true
	}
	return false
}

// variableOf is the variable of a section that p leads into.
func (e *engine) variableOf(p pointer) objectSet {
	section, ok := p.typ.(*btf.Datasec)
	if !ok || p.off.anywhere() {
		return anyObject
	}
	_, start := variableAt(section, p.off.base)
	return e.objects.one(objectKey{at: slot{kind: field, typ: section, off: uint32(start)}})
}

// valuesOf are the values of a map.
func (e *engine) valuesOf(m *object.Map) objectSet {
	if e.without(instances) {
		return anyObject
	}
	return e.objects.one(objectKey{at: slot{kind: mapSlot, m: m}})
}

// allocated is the object that the call which is looked at returns.
func (w *walk) allocated() objectSet {
	if w.without(instances) {
		return anyObject
	}
	k := objectKey{at: w.here()}
	if w.current != nil {
		k.sites = w.current.sites
	}
	return w.objects.one(k)
}

// handedOut is what a function's result leads into that is what its caller makes of it: an
// object of the call's own, if it is a piece of memory, or was freed before.
func (w *walk) handedOut(v value) objectSet {
	set := w.objectsOf(v)
	isPooled := w.isPooled(v.like) || v.from.state == oneOrigin && w.chained[v.from.slot]
	if isPooled || set == anyObject && v.flags&isLoose == 0 {
		return w.allocated()
	}
	return set
}

// through is the set of objects that a place is in which is accessed, any for a place of
// which stores are known through nothing that is known.
func (w *walk) through(s slot) objectSet {
	if w.via == noObject && w.unowned[s] {
		return anyObject
	}
	return w.via
}

// isSplit tells whether what a place holds is told apart by the object that it is in.
func (e *engine) isSplit(s slot) bool {
	return e.mixed[s] && s.object == 0 && !e.without(instances)
}

// in is the place in one object.
func (s slot) in(object int32) slot {
	s.object = object
	return s
}

// Objects that stand for several, in what cells hold.
const (
	allObjects  = -1 // what the place holds in any of them
	someObjects = -2 // what is stored in one of which nothing is known
)

// get loads from a place of the objects that an access is to.
func (w *walk) get(s slot) value {
	via := w.through(s)
	v := w.content(s, via)
	if v == (value{}) {
		return v
	}
	if v.objects = w.heldIn(s, via); v.objects == noObject {
		v.objects = laterObject
	}
	return v
}

// content is what a place of some objects holds. Of one that is told apart it is nothing
// as long as no store to it is known.
func (w *walk) content(s slot, via objectSet) value {
	if !w.isSplit(s) || via == anyObject {
		return w.loadOf(s)
	}
	var v value
	isFilled := !w.readCell(s).stored.isNothing()
	for _, id := range w.objects.in(via) {
		part := s.in(id)
		isFilled = isFilled || w.unowned[part] || !w.readCell(part).stored.isNothing()
		v = w.meet(v, w.loadOf(part))
	}
	switch {
	case !isFilled:
		w.starve(s, via)
		return value{}
	case !w.cell(s).stored.isNothing() || slices.ContainsFunc(w.objects.in(via), func(id int32) bool { return w.unowned[s.in(id)] }):
		return w.meet(v, w.loadOf(s))
	}
	return v
}

// starve notes a load of what nothing is known to be stored in.
func (w *walk) starve(s slot, via objectSet) {
	if via == noObject {
		w.orphan(s)
	}
	for _, id := range w.objects.in(via) {
		w.orphan(s.in(id))
	}
}

func (w *walk) loadOf(s slot) value {
	v := w.load(s)
	if (v.ptr.state == noPointer || v.flags&isGuess != 0) && v.flags&isNumber == 0 {
		keep(w.loads, s, instruction{w.fn.code, w.at})
	}
	return v
}

// indexedWord is an element of what a variable leads to, of which no member is accessed.
var indexedWord = regexp.MustCompile(`(?:^|[^\w.>])[A-Za-z_]\w*\[[^\]]*\](?:[^.\-\[]|-[^>]|$)`)

// wordsOf returns the places of the words of what an untyped pointer leads to, if these are
// rows of words: accesses by an index show that.
func (w *walk) wordsOf(base value, size int) (words []slot) {
	if base.ptr.state != noPointer || size != slotSize || w.without(offsets) {
		return nil
	}
	isIndexed := base.like.known() && base.like.offset.stride == slotSize && indexedWord.MatchString(instruction{w.fn.code, w.at}.line())
	for _, id := range w.objects.in(w.via) {
		at := w.objects.keys[id].at
		if isIndexed && at.kind == result && !w.rows[id] {
			w.rows[id] = true
			w.change()
		}
		if w.rows[id] {
			words = append(words, slot{kind: wordSlot, fn: at.fn, off: at.off, object: id})
		}
	}
	return words
}

func (w *walk) readWords(words []slot) (v value) {
	for _, s := range words {
		v = w.meet(v, w.get(s))
	}
	return v
}

// declaredAt returns the place of a pointer that BTF types, in memory of the program's.
func (w *walk) declaredAt(p pointer, there place) (slot, bool) {
	target, _, isPointer := w.layouts.pointee(there.typ)
	if !isPointer || target == nil || w.isForeignType(target) || w.isForeignType(there.container) || w.without(instances) {
		return slot{}, false
	}
	s, ok := slotIn(p, there)
	s.kind = declaredSlot
	return s, ok
}

// isNothing tells whether a value is zero at most.
func (v value) isNothing() bool { return v.ptr.state == noPointer && v.flags&^isNull == 0 }

// put stores in a place of the objects that an access is to.
func (w *walk) put(s slot, v value) {
	via := w.through(s)
	w.hold(s, via, w.objectsOf(v))
	v = w.pointee(v)
	ids := w.objects.in(via)
	switch {
	case !w.isSplit(s) || via == anyObject:
		w.store(s, v, w.evidence(stored))
		return
	case len(ids) == 0:
		return // it is known later what it is stored in
	}
	for _, id := range ids {
		w.store(s.in(id), v, w.evidence(stored))
	}
	w.record(w.cell(s), w.evidence(stored), v)
}

// hold notes what the pointers lead into that a place of some objects holds.
func (w *walk) hold(s slot, via, held objectSet) {
	if via == noObject {
		w.orphan(s)
		return
	}
	c := w.cell(s)
	add := func(id int32) {
		if joined := w.objects.union(c.holds[id], held); joined != c.holds[id] {
			if c.holds == nil {
				c.holds = make(map[int32]objectSet)
			}
			c.holds[id] = joined
			w.change()
			c.changed = w.clock
		}
	}
	add(allObjects)
	if via == anyObject {
		add(someObjects)
		return
	}
	for _, id := range w.objects.in(via) {
		add(id)
	}
}

// heldIn returns what the pointers lead into that a place of some objects holds.
func (w *walk) heldIn(s slot, via objectSet) objectSet {
	c := w.readCell(s)
	if via == anyObject {
		return c.holds[allObjects]
	}
	held := c.holds[someObjects]
	for _, id := range w.objects.in(via) {
		held = w.objects.union(held, c.holds[id])
	}
	return held
}

// orphan notes an access through a pointer that leads to no object that is known, or a
// load of what nothing is known to be stored in.
func (w *walk) orphan(s slot) {
	c := w.current
	if c.isGiven {
		return
	}
	if c.orphans == nil {
		c.orphans = make(map[slot]bool)
	}
	c.orphans[s] = true
}

// findUnowned finds the places that are stored in through what is known to lead to no
// object, now that all that can be known is: that is memory of any. It tells whether there
// are more.
func (e *engine) findUnowned() (found bool) {
	parts := make(map[*part]bool)
	for f, contexts := range e.contexts {
		for _, c := range contexts {
			for s := range c.orphans {
				if c.done && e.partOfFunction(f).root().isLast && !e.unowned[s] {
					e.unowned[s], parts[e.partOfFunction(f).root()] = true, true
				}
			}
		}
	}
	for f, contexts := range e.contexts {
		for _, c := range contexts {
			if parts[e.partOfFunction(f).root()] {
				c.walked = 0
			}
		}
	}
	return len(parts) > 0
}

// followObjects finds out once more what leads to which objects, now that all types are
// known that will be: what is read through pointers of no type may lead into any. It tells
// whether that has not been done.
func (e *engine) followObjects() bool {
	parts := e.dependOnObjects()
	if len(parts) == 0 {
		return false
	}
	for f, contexts := range e.contexts {
		for _, c := range contexts {
			if parts[e.partOfFunction(f).root()] {
				maps.Copy(e.outlined, c.outline)
			}
		}
	}
	for s, c := range e.cells {
		if e.isOf(s, parts) {
			c.holds = nil
		}
	}
	e.forgetContexts(parts)
	maps.DeleteFunc(e.unowned, func(s slot, _ bool) bool { return e.isOf(s, parts) })
	for p := range parts {
		p.isLast = true
	}
	return true
}

// dependOnObjects returns the parts in which places are told apart by objects, or are
// guessed, which objects may show, and that are not in their last round.
func (e *engine) dependOnObjects() map[*part]bool {
	parts := make(map[*part]bool)
	isAllocated := slices.ContainsFunc(e.objects.keys, func(k objectKey) bool { return k.at.fn != nil })
	for s, c := range e.cells {
		if p := e.partOf(s); p != nil && !p.isLast && (s.object != 0 || isAllocated && c.shaped && s.isMemory()) {
			parts[p] = true
		}
	}
	return parts
}

// typeOfObjects returns the type that all objects of a set are found to be of, nil if
// they are found to be of none, or of several.
func (w *walk) typeOfObjects(set objectSet) (t btf.Type) {
	for _, id := range w.objects.in(set) {
		at := w.objects.keys[id].at
		if at.kind != result {
			return nil
		}
		p := w.readCell(at).pointer()
		if !p.known() || p.region != typed || p.off != (offset{}) || t != nil && t != p.typ {
			return nil
		}
		t = p.typ
	}
	return t
}

// wholeOf is a pointer that was moved in front of a part of an object: one to the object,
// if all objects that it may be are of one type that has such a part there.
func (w *walk) wholeOf(p pointer, set objectSet) (pointer, bool) {
	back, exact := p.off.exact()
	t := w.typeOfObjects(set)
	if !exact || t == nil || !slices.Contains(w.offsetsOf(t, p.typ, maxNesting), -back) {
		return pointer{}, false
	}
	p.typ, p.off = t, offset{}
	return p, true
}

// returnsRoom tells whether an extern is a function that returns an untyped pointer.
func returnsRoom(t btf.Type) bool {
	fn, ok := t.(*btf.Func)
	if !ok {
		return false
	}
	proto, ok := fn.Type.(*btf.FuncProto)
	return ok && isCandidate(proto.Return)
}
