package cast

import (
	"github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/runtime/ctype"
)

// Arithmetic operations: the high four bits of an opcode.
const (
	opAdd = 0x00
	opSub = 0x10
	opMul = 0x20
	opAnd = 0x50
	opLsh = 0x60
	opMov = 0xb0
)

// arithmetic handles ALU and ALU64 instructions.
func (w *walk) arithmetic(insn object.Insn) {
	if w.simple(insn) {
		return
	}
	operand := number(constant(int64(insn.Imm)))
	if insn.Op&sourceX != 0 {
		operand = w.regs[insn.Src]
	}
	wide := insn.Op&classMask == classAlu8
	switch op := insn.Op & opMask; {
	case op == opMov && wide:
		w.move(insn, operand)
	case op == opMov:
		w.regs[insn.Dst] = low32(operand)
		w.annotate(insn.Dst)
	case !wide:
		w.regs[insn.Dst] = low32(number(compute(op, w.regs[insn.Dst], operand)))
	case op == opAdd:
		w.regs[insn.Dst] = w.add(w.regs[insn.Dst], operand)
	case op == opSub:
		w.regs[insn.Dst] = w.subtract(w.regs[insn.Dst], operand)
	case op == opAnd && aligns(w.regs[insn.Dst], operand):
		w.regs[insn.Dst] = w.somewhere(w.regs[insn.Dst])
	case op == opAnd && untags(w.regs[insn.Dst], operand):
		w.regs[insn.Dst] = opaque()
	default:
		w.regs[insn.Dst] = number(compute(op, w.regs[insn.Dst], operand))
	}
}

// simple handles what most instructions do: copy a register, or move a pointer by a
// constant. It tells whether that is all.
func (w *walk) simple(insn object.Insn) bool {
	const wide = classAlu8
	switch {
	case insn.Op == wide|opMov|sourceX && insn.Off == 0:
		w.regs[insn.Dst] = w.regs[insn.Src]
	case insn.Op == wide|opAdd && w.regs[insn.Dst].core.role != memberOf:
		w.regs[insn.Dst] = w.shift(w.regs[insn.Dst], constant(int64(insn.Imm)))
	default:
		return false
	}
	return true
}

// move copies a register or an immediate.
func (w *walk) move(insn object.Insn, v value) {
	const addressSpaceCast = 1
	switch {
	case insn.Op&sourceX == 0:
		w.regs[insn.Dst] = v
		w.annotate(insn.Dst)
	case insn.Off == addressSpaceCast:
		w.noteSpace(v)
		w.regs[insn.Dst] = castSpace(v)
	case insn.Off != 0: // sign extension of 8, 16 or 32 bits
		w.regs[insn.Dst] = number(anyNumber)
	default:
		w.regs[insn.Dst] = v
	}
}

// castSpace is an arena pointer, converted between the address that user space
// knows and the kernel's.
func castSpace(v value) value {
	if v.ptr.known() && v.ptr.region == typed {
		v.ptr.space = ctype.SpaceArena
	}
	return v
}

// low32 is the lower half of a value. Numbers below 2^31 are their own.
func low32(v value) value {
	n, ok := v.asNumber()
	if !ok {
		return number(anyNumber)
	}
	if c, ok := n.Const(); ok {
		n = constant(int64(uint32(c)))
	}
	return value{flags: number(n).flags, num: n, core: v.core}
}

// compute applies an operation to numbers.
func compute(op uint8, a, b value) Number {
	x, ok := a.asNumber()
	y, ok2 := b.asNumber()
	if !ok {
		x = anyNumber
	}
	if !ok2 {
		y = anyNumber
	}
	switch op {
	case opAdd:
		return x.add(y)
	case opSub:
		return x.sub(y)
	case opMul:
		return x.mul(y)
	case opAnd:
		return mask(x, y)
	case opLsh:
		if shift, ok := y.Const(); ok && shift >= 0 && shift < 62 {
			return x.mul(constant(1 << shift))
		}
	}
	return anyNumber
}

// mask is what bitwise and with a constant leaves: a multiple of the mask's
// lowest bit, and of the largest power of two that divides the other operand.
func mask(x, y Number) Number {
	x, y = x.class(), y.class()
	c, ok := y.Const()
	if !ok {
		x, y = y, x
		c, ok = y.Const()
	}
	if d, both := x.Const(); ok && both {
		return constant(c & d)
	}
	if !ok || c == 0 {
		return anyNumber
	}
	low := uint64(c & -c)
	if x.base == 0 && x.stride != 0 {
		low = max(low, x.stride&-x.stride)
	}
	return class(0, low)
}

// aligns tells whether bitwise and with a constant rounds what may be an address
// down: to the start of a page or of a larger block, where allocators keep what is
// known of it.
func aligns(v, operand value) bool {
	n, isNumber := operand.asNumber()
	c, isConst := n.Const()
	_, plain := v.asNumber()
	return isNumber && isConst && !plain && c < 0 && -c&(-c-1) == 0
}

// untags tells whether bitwise and with a constant leaves of what may be an address, with
// a version or a mark in its upper bits, the address.
func untags(v, operand value) bool {
	const leastBits = 32 // that addresses take
	n, isNumber := operand.asNumber()
	c, isConst := n.Const()
	_, plain := v.asNumber()
	return isNumber && isConst && !plain && c > 0 && c&(c+1) == 0 && c>>leastBits != 0
}

// add adds a number to a number or a pointer, either way around. A number that
// CO-RE says is an offset into a type makes the other a pointer to that.
func (w *walk) add(a, b value) value {
	if a.core.role == memberOf {
		a, b = b, a
	}
	if b.core.role == memberOf {
		a = w.laidOut(w.expect(a, w.layouts.canonical(b.core.typ), ctype.SpaceUnknown), b.core.typ)
	}
	n, ok := b.asNumber()
	if !ok {
		if n, ok = a.asNumber(); !ok {
			return w.somewhere(a, b)
		}
		a = b
	}
	return w.shift(a, n)
}

func (w *walk) shift(v value, n Number) value {
	if w.without(offsets) && n != (Number{}) && (v.ptr.known() && v.ptr.region != stackRegion) {
		return opaque()
	}
	if payload, ok := w.behind(v, n, true); ok {
		return payload
	}
	if w.isHalfSum(v) {
		return w.somewhere(v)
	}
	moved := shift(v, n)
	if off, exact := moved.ptr.off.exact(); exact && off < 0 && isOwnAggregate(moved.ptr) && !w.isForeignType(moved.ptr.typ) {
		return w.outer(moved)
	}
	if v.like.known() && moved.like.offset.anywhere() {
		return w.somewhere(v)
	}
	if n.steps != 0 {
		moved.links = w.linksAt(v, n)
	}
	return moved
}

// outer is a pointer that was moved in front of an object: one to what holds it.
func (w *walk) outer(v value) value {
	if p, ok := w.container(v.ptr); ok {
		return value{ptr: p, flags: v.flags &^ isNull, objects: v.objects}
	}
	if p, ok := w.wholeOf(v.ptr, v.objects); ok {
		return value{ptr: p, flags: v.flags &^ isNull, objects: v.objects}
	}
	if len(w.holdersOf(v.ptr.typ)) == 0 {
		return v
	}
	whole := w.unnamed()
	whole.objects = v.objects
	return whole
}

// somewhere is the sum of values of which at most one is an untyped pointer,
// moved by as much as is not known: into memory that is handed out in pieces.
// What that leads to shows in its use, here and not where the rest is used.
func (w *walk) somewhere(parts ...value) value {
	for _, v := range parts {
		if v.ptr.state != noPointer {
			return opaque()
		}
	}
	return w.inSpaceOf(w.unnamed(), parts...)
}

func (w *walk) subtract(a, b value) value {
	n, ok := b.asNumber()
	switch {
	case !ok && b.ptr.state == noPointer && b.flags&isFresh == 0 && w.isMemory(a):
		return w.somewhere(a) // a piece of it, from the end
	case !ok && b.ptr.state == noPointer && b.flags&(isFresh|isOpaque) == 0 && w.isRoomy(a):
		return w.pieceOf(a)
	case !ok:
		return number(anyNumber) // a distance
	}
	if _, isConst := n.Const(); !isConst && (a.ptr.known() || a.from.state == oneOrigin) {
		return widened(a)
	}
	return w.shift(a, Number{}.sub(n))
}

// isRoomy tells whether a value points to a struct that ends in room for anything.
func (w *walk) isRoomy(v value) bool {
	if !v.ptr.known() || v.ptr.region != typed || !openEnded(v.ptr.typ) || w.without(allocators) {
		return false
	}
	members := v.ptr.typ.(*btf.Struct).Members
	return isRoom(members[len(members)-1].Type, v.ptr.space)
}

// pieceOf is a piece of the room that a struct ends in, of a type that its use tells.
func (w *walk) pieceOf(v value) value {
	piece := w.inSpaceOf(w.unnamed(), v)
	w.addSpaces(w.cell(piece.from.slot), setOf(v.ptr.space))
	piece.flags &^= isNull
	return piece
}

// isHalfSum tells whether a value is a piece of memory whose address the instruction
// before has begun to compute: nothing else has that.
func (w *walk) isHalfSum(v value) bool {
	before := w.here()
	before.off--
	return v.flags&isFresh != 0 && v.from.state == oneOrigin && v.from.slot == before && v.from.off == (offset{}) &&
		w.fn.code.Insns[w.at-1].Op&classMask == classAlu8
}

// isMemory tells whether a value is memory that a call has returned without a type.
func (w *walk) isMemory(v value) bool {
	if v.ptr.state != noPointer {
		return false
	}
	return v.flags&isFresh != 0 || v.from.state == oneOrigin && w.readCell(v.from.slot).fresh
}

// shift is v moved by n.
func shift(v value, n Number) value {
	if m, ok := v.asNumber(); ok {
		return number(m.add(n))
	}
	if v.ptr.known() {
		v.ptr.off = v.ptr.off.add(n)
	}
	switch v.from.state {
	case oneOrigin:
		v.from.off = v.from.off.add(n)
	case manyOrigins:
		v.from.slot = slot{}
	}
	if v.like.known() {
		v.like.offset = v.like.offset.add(n)
	}
	// No verified program moves a pointer that may be null.
	v.flags &^= isNull
	if v.flags&isNumber != 0 {
		v.num = anyNumber
	}
	v.core = coreNumber{}
	if n != (Number{}) {
		v.links = links{}
	}
	return v
}
