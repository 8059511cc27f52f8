package cast

// This file reads and writes memory as the analysis sees it: stack slots, the
// arguments of a program, and places in BTF types.

import (
	"regexp"
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"
	"github.com/ktgen/ktgen/runtime/ctype"
)

// read is the value of size bytes at base + off.
func (w *walk) read(base value, off int64, size int) value {
	p := base.ptr
	if base == (value{}) {
		return base
	}
	w.via = w.objectsOf(base)
	if w.isLink(base, off) {
		return w.readLinks(base.links, size)
	}
	if !p.known() {
		return w.readUnknown(base, off, size)
	}
	if payload, ok := w.behind(base, constant(off), false); ok {
		return w.read(payload, 0, size)
	}
	w.shows(base)
	w.confirm(base, off, size)
	w.settle(base, off)
	p.off = p.off.add(constant(off))
	if outer, ok := w.around(p, size); ok {
		p = outer
	}
	switch p.region {
	case stackRegion:
		return w.readStack(p, size)
	case context:
		return w.argument(p, size)
	case typed:
		if w.isWord(p, size) {
			return w.chainedBehind(base)
		}
		return w.readTyped(p, size)
	}
	return unknown(size)
}

// readUnknown is what is read through something that nothing else is known of.
func (w *walk) readUnknown(base value, off int64, size int) value {
	w.follow(base, off, size)
	if words := w.wordsOf(base, size); len(words) > 0 {
		return w.readWords(words)
	}
	if base.ptr.state == noPointer && off == 0 && base.from.state == oneOrigin && w.lineHasWord(size) {
		return w.chainedBehind(base)
	}
	v := unknown(size)
	if base.ptr.state == noPointer && !w.partOfFunction(w.fn).root().isLast {
		v.objects = laterObject
	}
	return v
}

// follow notes an access through something that nothing else is known of.
func (w *walk) follow(base value, off int64, size int) {
	if base.ptr.state == noPointer {
		w.traceAccess(base.like, off, size)
	}
}

// confirm notes an access through what is guessed: it may show the guess to be right, or
// wrong, where it was loaded.
func (w *walk) confirm(base value, off int64, size int) {
	if base.flags&isGuess == 0 || !base.like.known() || base.like.n != 1 {
		return
	}
	at := base.like.offset.add(constant(off))
	if _, isWithin := w.layouts.at(base.ptr.typ, at, size); isWithin && !w.lineHasWord(size) {
		w.flows.access(base.like, trace{access: access{at, size}, at: instruction{w.fn.code, w.at}})
	}
}

// settle notes an access to a member that the line of C names, through what was loaded
// from a place that holds different things: from here on it is known which of them it is.
func (w *walk) settle(base value, off int64) {
	if base.flags&isLoose == 0 || !base.ptr.known() || base.ptr.region != typed {
		return
	}
	name := accessedMember(w.fn.code, w.at)
	if name == "" || !hasMemberAt(base.ptr.typ, name, base.ptr.off.add(constant(off)), maxNesting) {
		return
	}
	for i := range w.regs {
		w.regs[i] = w.regs[i].settledBy(base)
	}
	for _, s := range w.stack {
		if v := w.values.all[s.value]; v.flags&isLoose != 0 {
			w.stack = w.stack.with(int(s.frame), int64(s.off), w.values.id(v.settledBy(base)))
		}
	}
}

// settledBy is v after an access through w, if both were loaded from the same place.
func (v value) settledBy(w value) value {
	if v.from.state == w.from.state && v.from.slot == w.from.slot && v.like.n == w.like.n && v.like.ids == w.like.ids {
		v.flags &^= isLoose
	}
	return v
}

// shows notes an access that the shape of a slot's target was seen by.
func (w *walk) shows(base value) {
	if base.from.state != oneOrigin {
		return
	}
	if c := w.readCell(base.from.slot); c.shaped {
		w.record(c, w.evidence(accessed), value{ptr: c.used})
	}
}

// unknown is a value of which only the size is known: too small for a pointer,
// or anything.
func unknown(size int) value {
	if size < slotSize {
		return number(anyNumber)
	}
	return opaque()
}

func (w *walk) readStack(p pointer, size int) value {
	off, ok := p.off.exact()
	if !ok || size != slotSize || off%slotSize != 0 {
		return unknown(size)
	}
	v := opaque()
	if i, ok := w.stack.find(p.frame, off); ok && !w.without(spills) {
		v = w.values.all[w.stack[i].value]
	}
	return w.readBoxed(p.frame, off, v)
}

// maxArguments bounds the arguments that the kernel passes in memory.
const maxArguments = 16

// argument is what the kernel passes in 8-byte slots.
func (w *walk) argument(p pointer, size int) value {
	proto, _ := p.typ.(*btf.FuncProto)
	off, ok := p.off.exact()
	if !ok || size != slotSize || off < 0 || off%slotSize != 0 || off/slotSize >= maxArguments {
		return unknown(size)
	}
	if proto == nil {
		return w.undeclared(slot{kind: kernelArgument, fn: p.fn, off: uint32(off / slotSize)})
	}
	if off/slotSize >= int64(len(proto.Params)) {
		return unknown(size)
	}
	return w.ofType(proto.Params[off/slotSize].Type, ctype.SpaceKernel)
}

func (w *walk) readTyped(p pointer, size int) (v value) {
	if views := w.meantViews(p, size); len(views) > 0 {
		return w.readViews(p, views)
	}
	if s, ok := w.hidden(p, size); ok {
		v := w.get(s)
		v.flags |= isOpaque // lines that do not tell what they store may do so there
		return v
	}
	there, ok := w.layouts.at(p.typ, p.off, size)
	if !ok {
		return unknown(size)
	}
	return w.readPlace(p, there, size)
}

func (w *walk) readPlace(p pointer, there place, size int) value {
	if s, ok := slotOf(p, there); ok {
		w.noteSlot(s)
		if w.isForeign(s) {
			return w.loadForeign(p, s)
		}
		v := w.get(s)
		if _, isPointer := btf.As[*btf.Pointer](there.typ); isPointer {
			v.flags |= isNull
		}
		return v
	}
	w.touch(p, there)
	v := w.ofType(there.typ, spaceOfMember(p.space))
	if s, ok := w.declaredAt(p, there); ok {
		v.objects = w.objects.union(laterObject, w.heldIn(s, w.through(s)))
	}
	return toHeader(v, p, there)
}

// keep keeps where a pointer is loaded or stored that nothing is known of, or that is
// loaded and guessed: what is found by guesses may have lines that belie them.
func keep(of map[slot]map[instruction]bool, s slot, at instruction) {
	if of[s] == nil {
		of[s] = make(map[instruction]bool)
	}
	of[s][at] = true
}

// touch notes an access to a pointer that BTF types.
func (w *walk) touch(p pointer, there place) {
	if w.touched == nil || w.inBox {
		return
	}
	if _, ok := btf.As[*btf.Pointer](there.typ); ok {
		if s, ok := slotIn(p, there); ok {
			w.touched[s] = true
		}
	}
}

// spaceOfMember is the space of what a pointer stored in an object points to,
// if nothing says otherwise: kernel objects point to kernel objects.
func spaceOfMember(s ctype.Space) ctype.Space {
	if s == ctype.SpaceKernel {
		return ctype.SpaceKernel
	}
	return ctype.SpaceUnknown
}

// slotOf returns the slot at a place: an integer that could hold a pointer, or
// an untyped pointer.
func slotOf(p pointer, there place) (slot, bool) {
	if !isCandidate(there.typ) {
		return slot{}, false
	}
	return slotIn(p, there)
}

// slotIn returns the slot at a place, whatever its type.
func slotIn(p pointer, there place) (slot, bool) {
	switch c := there.container.(type) {
	case *btf.Struct, *btf.Union, *btf.Datasec:
		return slot{kind: field, typ: c, off: there.off, view: there.view}, true
	}
	if p.ref != nil {
		return slot{kind: mapSlot, m: p.ref, off: there.off}, true
	}
	return slot{}, false
}

// isCandidate tells whether a pointer can hide in a type.
func isCandidate(t btf.Type) bool {
	switch t := btf.UnderlyingType(t).(type) {
	case *btf.Int:
		return t.Size == 8 && t.Encoding&btf.Bool == 0
	case *btf.Pointer:
		_, void := btf.UnderlyingType(t.Target).(*btf.Void)
		return void
	}
	return false
}

// write stores size bytes at base + off.
func (w *walk) write(base value, off int64, size int, v value) {
	p := base.ptr
	w.via = w.objectsOf(base)
	if w.isLink(base, off) {
		w.writeLinks(base.links, size, v)
		return
	}
	if !p.known() {
		w.follow(base, off, size)
		for _, s := range w.wordsOf(base, size) {
			w.put(s, v)
		}
		return
	}
	if payload, ok := w.behind(base, constant(off), false); ok {
		w.write(payload, 0, size, v)
		return
	}
	w.shows(base)
	w.confirm(base, off, size)
	w.settle(base, off)
	p.off = p.off.add(constant(off))
	if outer, ok := w.around(p, size); ok {
		p = outer
	}
	switch {
	case p.region == stackRegion:
		w.writeStack(p, size, v)
	case p.region == typed && !w.isWord(p, size):
		w.writeTyped(p, size, v)
	}
}

// wordOf is a dereference of a pointer that is cast to one to eight bytes of no type.
var wordOf = regexp.MustCompile(`\*\s*\(\s*(?:const\s+|volatile\s+)*(?:(?:__)?[us]64|u?int64_t|(?:unsigned\s+)?long(?:\s+long)?|void\s*(?:__arena\s*)?\*)\s*(?:__arena\s*)?\*\s*\)`)

// lineHasWord tells whether the line of C of an access dereferences words.
func (w *walk) lineHasWord(size int) bool {
	return size == slotSize && wordOf.MatchString(instruction{w.fn.code, w.at}.line())
}

// isWord tells whether the line of C accesses a word, and no member that is there:
// free memory of any type is chained by what it begins with, which is no content of
// what the memory is used as.
func (w *walk) isWord(p pointer, size int) bool {
	if isSection(p.typ) || !w.lineHasWord(size) {
		return false
	}
	names := w.membersNamed(instruction{w.fn.code, w.at})
	return !slices.ContainsFunc(slices.Concat(names.once, names.often), func(name string) bool {
		return hasMemberAt(p.typ, name, p.off, maxNesting)
	})
}

func (w *walk) writeStack(p pointer, size int, v value) {
	off, ok := p.off.exact()
	if !ok {
		w.stack = w.stack.without(p.frame, -stackSize, 0, w.values.id(opaque()))
		return
	}
	if size == slotSize && off%slotSize == 0 && off >= -stackSize && off < 0 {
		w.stack = w.stack.with(p.frame, off, w.values.id(v))
		w.noteBoxed(p.frame, off, v)
		return
	}
	w.stack = w.stack.without(p.frame, off, off+int64(size), w.values.id(opaque()))
}

func (w *walk) writeTyped(p pointer, size int, v value) {
	if s, ok := w.hidden(p, size); ok {
		w.put(s, v)
		return
	}
	views := w.meantViews(p, size)
	w.writeViews(p, views, v)
	if there, ok := w.layouts.at(p.typ, p.off, size); ok && size == slotSize && len(views) == 0 {
		w.writePlace(p, there, v)
	}
}

// asDeclared is v, which an instruction stores: no guess if a parameter is declared to lead
// there.
func (w *walk) asDeclared(v value) value {
	if v.flags&isGuess == 0 || !v.ptr.known() || v.ptr.region != typed || w.without(parameters) {
		return v
	}
	declared := w.storedParameter(w.fn, w.at)
	if part, ok := w.layouts.at(v.ptr.typ, v.ptr.off, 0); ok && declared != nil && w.layouts.element(part.typ) == declared {
		v.flags &^= isGuess
	}
	return v
}

func (w *walk) writePlace(p pointer, there place, v value) {
	if s, ok := slotOf(p, there); ok {
		w.noteSlot(s)
		v = w.asDeclared(v)
		if v.flags&isNumber == 0 {
			keep(w.stores, s, instruction{w.fn.code, w.at})
		}
		w.put(s, v)
		return
	}
	w.touch(p, there)
	if s, ok := w.declaredAt(p, there); ok {
		w.hold(s, w.through(s), w.objectsOf(v))
	}
	if target, tags, ok := w.layouts.pointee(there.typ); ok && target != nil {
		w.expect(v, target, spaceOf(tags, ctype.SpaceUnknown))
		if insn := w.fn.code.Insns[w.at]; storesRegister(insn) {
			w.storedHeader(p, there, insn.Src)
		}
	}
}

// pointee makes a pointer into an object one to the part that it points at, if
// that is a whole part: what &task->ctx means once it is stored. A pointer to
// an array is one to its first element. Where a struct starts with another one,
// either may be meant, and only its use can tell; so it is with room for anything.
func (w *walk) pointee(v value) value {
	if v.ptr.known() && v.ptr.region == typed && isView(v.ptr.typ) {
		switch meant := w.meant(v.ptr); {
		case meant.state != noPointer:
			v.ptr = meant
		case v.ptr.off != (offset{}):
			v.ptr, v.flags = pointer{}, v.flags|isOpaque
		} // else to what the object does not describe, and to nothing else
		return v
	}
	if !v.ptr.known() || v.ptr.region != typed {
		return v
	}
	if v.ptr.off == (offset{}) && !isSection(v.ptr.typ) {
		if w.takesAddress(v.ptr.typ) {
			v.ptr, v.flags = pointer{}, v.flags|isOpaque
		}
		return v
	}
	there, ok := w.layouts.at(v.ptr.typ, v.ptr.off, 0)
	part := w.layouts.element(there.typ)
	if !ok || startsWithStruct(part) || w.takesAddress(part) || isRoom(there.typ, v.ptr.space) {
		v.ptr = pointer{}
		v.flags |= isOpaque
		return v
	}
	v.ptr.typ, v.ptr.off = part, offset{}
	return v
}

var addressOf = regexp.MustCompile(`&[^,;()=&|]*?(?:->|\.)\s*([A-Za-z_]\w*)\s*[^\w\s\[.(-]`)

// takesAddress tells whether the line of C takes the address of what t begins with:
// a pointer to that is one to t, too, and is not meant as such.
func (w *walk) takesAddress(t btf.Type) bool {
	names := w.addressesTaken()
	return slices.ContainsFunc(names, func(name string) bool { return hasMemberAt(t, name, offset{}, maxNesting) })
}

// addressesTaken returns the members whose addresses the line of C of a store takes.
func (w *walk) addressesTaken() []string {
	if !storesRegister(w.fn.code.Insns[w.at]) {
		return nil
	}
	return w.membersAddressed()
}

// membersAddressed returns the members whose addresses the line of C takes.
func (w *walk) membersAddressed() []string {
	line := instruction{w.fn.code, w.at}.line()
	if !strings.Contains(line, "&") {
		return nil
	}
	names, ok := w.addresses[line]
	if !ok {
		for _, m := range addressOf.FindAllStringSubmatch(line, -1) {
			names = append(names, m[1])
		}
		w.addresses[line] = names
	}
	return names
}

// isRoom tells whether t is an array of integers in some space that may be memory for
// anything: of as many as there is room for, or in what was allocated.
func isRoom(t btf.Type, space ctype.Space) bool {
	arr, ok := btf.As[*btf.Array](t)
	if !ok {
		return false
	}
	_, ok = btf.As[*btf.Int](arr.Type)
	return ok && (arr.Nelems == 0 || space != ctype.SpaceMap && space != ctype.SpaceGlobal)
}

func startsWithStruct(t btf.Type) bool {
	s, ok := t.(*btf.Struct)
	if !ok || len(s.Members) == 0 {
		return false
	}
	first := s.Members[0].Type
	for range maxNesting {
		arr, isArray := btf.As[*btf.Array](first)
		if !isArray {
			break
		}
		first = arr.Type
	}
	_, ok = btf.As[*btf.Struct](first)
	return ok
}

func isSection(t btf.Type) bool {
	_, ok := t.(*btf.Datasec)
	return ok
}
