package cast

import (
	"github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/runtime/ctype"
)

// pointerState says how much is known of where a value points.
type pointerState uint8

const (
	noPointer pointerState = iota // bottom: it is no pointer, as far as is known
	onePointer
	conflicting // top: it points to different things on different paths
)

// region is the kind of object that a pointer points into.
type region uint8

const (
	typed       region = iota // an object of a BTF type
	stackRegion               // a stack frame
	context                   // what a program is called with: arguments in 8-byte slots
	mapRef                    // a map itself
	code                      // a function
)

// pointer is where a value points, if it does. It is comparable.
type pointer struct {
	state  pointerState
	region region
	space  ctype.Space
	typ    btf.Type         // typed: canonical; context: the *btf.FuncProto, or nil
	frame  int              // stack: 0 is the function's own frame, 1 its caller's
	ref    *object.Map      // mapRef; typed: the map, if its value is no struct
	fn     *object.Function // code
	off    offset           // from the start of the object
}

func (p pointer) known() bool { return p.state == onePointer }

// sameObject tells whether two pointers differ in offset, space and type only.
func (p pointer) sameObject(q pointer) bool {
	p.off, q.off, p.space, q.space, p.typ, q.typ = offset{}, offset{}, 0, 0, nil, nil
	return p == q
}

// common returns the type that both of two types begin with, at most one of
// them itself: a pointer to a struct is one to its first member, too. Where
// either may be there, that is all that is known.
func common(a, b btf.Type) (btf.Type, bool) {
	if a == b {
		return a, true
	}
	for range maxNesting {
		if isScalar(a) {
			break
		}
		if a == b || startsWith(b, a) {
			return a, true
		}
		s, ok := a.(*btf.Struct)
		if !ok || len(s.Members) == 0 || s.Members[0].Offset != 0 {
			break
		}
		a = btf.UnderlyingType(s.Members[0].Type)
	}
	return nil, false
}

// outer returns the one of two types that the other is the first part of.
func outer(a, b btf.Type) (btf.Type, bool) {
	switch {
	case a == b || startsWith(a, b):
		return a, true
	case startsWith(b, a):
		return b, true
	}
	return nil, false
}

// startsWith tells whether part is the first member of t, or the first member
// of that. Unions do not count: a type has one first part of each size.
func startsWith(t, part btf.Type) bool {
	for range maxNesting {
		s, ok := t.(*btf.Struct)
		if !ok || len(s.Members) == 0 || s.Members[0].Offset != 0 {
			return false
		}
		if t = btf.UnderlyingType(s.Members[0].Type); t == part {
			return true
		}
	}
	return false
}

// join is the least upper bound: no pointer, below pointers into one kind of
// object, below conflict.
func (p pointer) join(q pointer) pointer { return p.merge(q, common) }

// joinUse is join for what a place is used as. A use as a struct says more than
// one as what the struct begins with.
func (p pointer) joinUse(q pointer) pointer { return p.merge(q, outer) }

func (p pointer) merge(q pointer, types func(a, b btf.Type) (btf.Type, bool)) pointer {
	switch {
	case p.state == noPointer:
		return q
	case q.state == noPointer:
		return p
	case p.state == conflicting || q.state == conflicting || !p.sameObject(q):
		return pointer{state: conflicting}
	}
	t, ok := types(p.typ, q.typ)
	if !ok {
		return pointer{state: conflicting}
	}
	p.typ = t
	p.off = p.off.join(q.off)
	if p.space != q.space {
		p.space = ctype.SpaceUnknown
	}
	return p
}

// usedAs is where a place points that pointers p are stored in, and which is
// used as q. It is what p says, unless they differ: a cast to a larger struct,
// which p is the start of, may be for some of them only.
func (p pointer) usedAs(q pointer) pointer {
	if p.known() && q.known() && startsWith(p.typ, q.typ) {
		q.typ = p.typ
	}
	return p.join(q)
}

// flags is what a value may be beside a pointer.
type flags uint8

const (
	isNull   flags = 1 << iota // zero
	isNumber                   // something computed: see value.num
	isOpaque                   // something that the analysis cannot follow
	isGuess                    // a pointer whose type only shows in the accesses through it
	isLoose                    // what a place held that holds different things: what it is here shows in its use
	isFresh                    // memory that a call has returned without a type, and that was not stored since
	isPartly                   // something that was loaded from a slot, or something else
)

// origin is where a value was loaded from, before arithmetic: a slot whose
// content's type is in question. Of manyOrigins, slot is the bytes that all of them share,
// if they are the members that overlap there, and the value was not moved.
type origin struct {
	state originState
	slot  slot
	off   offset // how far it was moved since
}

type originState uint8

const (
	noOrigin originState = iota // bottom
	oneOrigin
	manyOrigins // top
)

func (o origin) join(p origin) origin {
	switch {
	case o.state == noOrigin:
		return p
	case p.state == noOrigin || o == p:
		return o
	case o.state == manyOrigins || p.state == manyOrigins || o.slot != p.slot:
		return origin{state: manyOrigins}
	}
	o.off = o.off.join(p.off)
	return o
}

// value is what a register or a stack slot may hold. The zero value is
// bottom: nothing reaches it. It is comparable, and its parts are joined one
// by one, so that it is a lattice as each of them is.
type value struct {
	ptr   pointer
	flags flags
	num   Number // if flags has isNumber
	from  origin

	// like is the kins of slots that it may have been loaded from. If it is
	// used as a pointer, they are one.
	like kins

	// objects are the objects that it may lead into.
	objects objectSet

	// links are the places that it may be the address of, if ptr does not tell.
	links links

	// core is what a CO-RE relocation says num is.
	core coreNumber
}

// coreNumber is what a CO-RE relocation makes of a number: the offset of a
// member of a type, or the id of a type. The zero coreNumber is bottom:
// nothing, or not yet anything.
type coreNumber struct {
	role coreRole
	typ  btf.Type // canonical
}

type coreRole uint8

const (
	noRole     coreRole = iota
	memberOf            // an offset into typ
	idOf                // the id of typ
	otherRoles          // top
)

func (c coreNumber) join(d coreNumber) coreNumber {
	switch {
	case c.role == noRole || c == d:
		return d
	case d.role == noRole:
		return c
	}
	return coreNumber{role: otherRoles}
}

func (v value) join(w value) value {
	out := value{ptr: v.ptr.join(w.ptr), flags: v.flags | w.flags, from: v.from.join(w.from), like: v.like.join(w.like)}
	out.num = joinNumbers(v, w)
	out.core = v.core.join(w.core)
	if v.links == w.links {
		out.links = v.links
	}
	if v.isElsewhere() && w.from.state != noOrigin || w.isElsewhere() && v.from.state != noOrigin {
		out.from = origin{state: manyOrigins}
		out.flags |= isPartly
	}
	return out
}

// isElsewhere tells whether v is a pointer that was loaded from no slot: what it is
// used as says nothing of a slot that another value comes from.
func (v value) isElsewhere() bool {
	return v.from.state == noOrigin && (v.ptr.state != noPointer || v.flags&isOpaque != 0)
}

func joinNumbers(v, w value) Number {
	switch {
	case v.flags&isNumber == 0 && w.flags&isNumber == 0:
		return Number{}
	case v.flags&isNumber == 0:
		return w.num
	case w.flags&isNumber == 0:
		return v.num
	}
	return v.num.join(w.num)
}

// number returns the value of a computed integer.
func number(n Number) value {
	if n == (Number{}) {
		return value{flags: isNull}
	}
	return value{flags: isNumber, num: n}
}

func opaque() value { return value{flags: isOpaque} }

// asNumber returns the integers that v may be, if it is nothing else.
func (v value) asNumber() (n Number, ok bool) {
	if v.ptr.state != noPointer || v.from.state != noOrigin || v.flags&isOpaque != 0 {
		return Number{}, false
	}
	switch v.flags {
	case isNull:
		return Number{}, true
	case isNumber:
		return v.num, true
	case isNull | isNumber:
		return v.num.join(Number{}), true
	}
	return Number{}, false
}

// widened is v, somewhere: the top of its chain of offsets and numbers.
func widened(v value) value {
	if v.ptr.known() {
		v.ptr.off = anyOffset
	}
	switch v.from.state {
	case oneOrigin:
		v.from.off = anyOffset
	case manyOrigins:
		v.from.slot = slot{}
	}
	if v.like.known() {
		v.like.offset = anyOffset
	}
	if v.flags&isNumber != 0 {
		v.num = anyNumber
	}
	v.links = links{}
	return v
}
