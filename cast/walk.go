package cast

// This file walks one function in one context: states flow along the edges of
// its control-flow graph until they settle, instruction by instruction inside
// a block.

import (
	"github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/runtime/ctype"
)

// walk is the analysis of a function in one context.
type walk struct {
	*engine
	fn    *function
	depth int

	regs    [numRegs]value // at the instruction that is looked at
	stack   frames
	packed  [numRegs]valueID // regs at the start of the block
	at      int
	via     objectSet // that the place is in which is accessed
	spot    int64     // of the stack that is being copied elsewhere
	boxes   []box     // that the function is passed
	inBox   bool      // what is stored is in one of them
	dead    bool      // control does not get past this instruction
	atExits *state
	ends    [2]*state      // the same, by what is returned
	gives   map[int32]bool // slots whose content is returned as it is, by number
	outcome *outcome       // of the last call of a function in this block, if that may write to the stack
}

// run returns the state at the exits, nil if none is reached.
func (w *walk) run(entry *state) *state {
	if len(w.fn.blocks) == 0 {
		return nil
	}
	w.boxes = w.boxesOf(w.fn, entry)
	starts := make([]start, len(w.fn.blocks))
	first := *entry
	starts[0] = start{state: &first, isPending: true}
	for work := true; work; {
		work = false
		for i := range w.fn.blocks {
			if !starts[i].isPending {
				continue
			}
			starts[i].isPending, work = false, true
			w.unpack(starts[i].state)
			w.block(&w.fn.blocks[i])
			if !w.dead {
				w.goOn(&w.fn.blocks[i], starts)
			}
		}
	}
	return w.atExits
}

// start is what is known at the start of a block.
type start struct {
	state     *state
	visits    int // that changed it
	isPending bool
}

// goOn takes what is known at the end of a block to the blocks that follow it.
func (w *walk) goOn(b *block, starts []start) {
	end, refined := w.pack(), w.refinement(b)
	for n, next := range b.next {
		out := end
		w.refineOutcome(b, &out, n == 1)
		to := &starts[next]
		switch {
		case refined != nil && !refined.apply(w, &out, n == 1): // never taken
		case w.fn.code.Insns[w.fn.blocks[next].first].Op == opExit:
			w.leave(&out) // by what each path returns
		case w.flow(&to.state, &out, to.visits, b.back[n]):
			to.visits++
			to.isPending = true
		}
	}
}

func (w *walk) unpack(s *state) {
	for i, id := range s.regs {
		w.regs[i] = w.values.all[id]
	}
	w.packed, w.stack = s.regs, s.stack
}

func (w *walk) pack() state {
	s := state{regs: w.packed, stack: w.stack}
	for i := range w.regs {
		if w.regs[i] != w.values.all[s.regs[i]] {
			s.regs[i] = w.values.id(w.regs[i])
		}
	}
	return s
}

// visitsBeforeWidening is how often a loop may change what is known at its
// head before it is cut short. Two to three settle what programs do.
const visitsBeforeWidening = 16

// flow adds a state to that at the start of a block, which isLoop says it goes back to,
// and tells whether that changed it.
func (w *walk) flow(in **state, out *state, visits int, isLoop bool) bool {
	if *in == nil {
		reached := *out
		*in = &reached
		return true
	}
	switch {
	case w.without(joins):
		return (*in).merge(out, w.values.apart)
	case visits > visitsBeforeWidening:
		return (*in).merge(out, w.values.widen)
	case isLoop:
		return (*in).merge(out, w.values.around)
	}
	return (*in).merge(out, w.values.join)
}

func (w *walk) block(b *block) {
	w.dead, w.outcome = false, nil
	for w.at = b.first; w.at < b.end && !w.dead; w.at += w.fn.width(w.at) {
		w.step(w.fn.code.Insns[w.at])
		if w.notes != nil {
			w.noteResult(w.fn.code.Insns[w.at])
		}
	}
}

func (w *walk) step(insn object.Insn) {
	if insn.Dst >= numRegs || insn.Src >= numRegs && insn.Op != opCall {
		w.giveUp("%s: instruction %d names a register above r10", w.fn.Name, w.at-w.fn.start)
		w.dead = true
		return
	}
	if !isOpcode(insn.Op) {
		w.giveUp("%s: instruction %d has the unknown opcode %#02x", w.fn.Name, w.at-w.fn.start, insn.Op)
		w.dead = true
		return
	}
	switch insn.Op & classMask {
	case classLd:
		w.loadImmediate(insn)
	case classLdx:
		w.loadMemory(insn)
	case classSt:
		w.storeMemory(insn, number(constant(int64(insn.Imm))))
	case classStx:
		w.storeRegister(insn)
	case classAlu, classAlu8:
		w.arithmetic(insn)
	default:
		w.jump(insn)
	}
}

func (w *walk) jump(insn object.Insn) {
	switch insn.Op {
	case opCall:
		w.callInsn(insn)
	case opCallX:
		w.clobber()
		w.regs[0] = opaque()
	case opExit:
		w.exit()
	}
}

// exit adds the state to that at the function's exits, without the frame that
// ends.
func (w *walk) exit() {
	w.dead = true
	out := w.pack()
	w.leave(&out)
}

func (w *walk) leave(s *state) {
	// The caller keeps or forgets its own registers.
	out := &state{}
	out.regs[0] = s.regs[0]
	for _, slot := range s.stack {
		if slot.frame > 0 {
			out.stack = append(out.stack, slot)
		}
	}
	w.addEnd(out)
	w.give(w.values.all[s.regs[0]])
	if w.atExits == nil {
		w.atExits = out
		return
	}
	w.atExits.merge(out, w.values.join)
}

// evidence says that an instruction shows something.
func (w *walk) evidence(kind EvidenceKind) Evidence {
	if w.inBox && w.fn.code.Insns[w.at].Op&classMask == classLdx {
		kind = used // what is in a struct on the stack when it is passed counts where it is read
	}
	return Evidence{Kind: kind, Function: w.fn.Name, Section: w.fn.code.Section, Insn: w.at, spot: w.spot}
}

// loadImmediate handles wide loads: constants, and addresses that a loader
// fills in.
func (w *walk) loadImmediate(insn object.Insn) {
	if insn.Op != opWide {
		w.clobber() // LD_ABS and LD_IND call into the kernel
		w.regs[0] = number(anyNumber)
		return
	}
	if ref, ok := w.fn.code.Refs[w.at]; ok {
		w.regs[insn.Dst] = w.address(ref)
		return
	}
	imm := uint64(uint32(insn.Imm))
	if w.at+1 < w.fn.end {
		imm |= uint64(uint32(w.fn.code.Insns[w.at+1].Imm)) << 32
	}
	w.regs[insn.Dst] = number(constant(int64(imm)))
	w.annotate(insn.Dst)
}

// annotate notes what a CO-RE relocation makes of a constant.
func (w *walk) annotate(reg uint8) {
	relo, ok := w.fn.code.Relos[w.at]
	if !ok {
		return
	}
	core := coreNumber{typ: btf.UnderlyingType(relo.Type)}
	switch relo.Kind {
	case object.COREFieldByteOffset:
		core.role = memberOf
	case object.CORETypeIDLocal, object.CORETypeIDTarget:
		core.role = idOf
	default:
		return
	}
	w.regs[reg].core = core
}

// address is the value of a reference.
func (w *walk) address(ref object.Ref) value {
	p := pointer{state: onePointer}
	switch ref.Kind {
	case object.RefMap:
		p.region, p.ref = mapRef, ref.Map
	case object.RefFunction:
		p.region, p.fn = code, ref.Function
	case object.RefData:
		if ref.Data.Type == nil {
			return opaque()
		}
		p.typ, p.space, p.off = ref.Data.Type, ctype.SpaceGlobal, newOffset(ref.Offset, 0)
		if ref.Data.Kind == object.Arena {
			p.space = ctype.SpaceArena
		}
	case object.RefExtern:
		return w.extern(ref.Extern)
	default:
		return opaque()
	}
	return value{ptr: p}
}

func (w *walk) extern(x *object.Extern) value {
	t := w.layouts.canonical(x.Type)
	if x.Kind != object.ExternVar || t == nil {
		return opaque()
	}
	return value{ptr: typedPointer(t, ctype.SpaceKernel)}
}

// Sizes of memory accesses in bytes, by the bits of an opcode.
var accessSizes = [...]int{4, 2, 1, 8}

func accessSize(op uint8) int { return accessSizes[op>>3&3] }

func (w *walk) loadMemory(insn object.Insn) {
	const signExtends = 0x80 // MEMSX
	v := w.read(w.base(insn.Src), int64(insn.Off), accessSize(insn.Op))
	if insn.Op&0xe0 == signExtends {
		v = number(anyNumber)
	}
	w.regs[insn.Dst] = v
}

func (w *walk) storeRegister(insn object.Insn) {
	const atomic = 0xc0
	if insn.Op&0xe0 == atomic {
		w.atomic(insn)
		return
	}
	w.storeMemory(insn, w.regs[insn.Src])
}

func (w *walk) storeMemory(insn object.Insn, v value) {
	w.write(w.base(insn.Dst), int64(insn.Off), accessSize(insn.Op), v)
}

// Atomic operations, in the immediate of an instruction.
const (
	atomicFetch    = 0x01
	atomicExchange = 0xe1
	atomicCompare  = 0xf1
	atomicLoad     = 0x100
	atomicStore    = 0x110
)

func (w *walk) atomic(insn object.Insn) {
	base, size, off := w.regs[insn.Dst], accessSize(insn.Op), int64(insn.Off)
	op := insn.Imm
	if w.without(atomics) {
		op = atomicFetch
	}
	switch op {
	case atomicExchange:
		old := w.read(base, off, size)
		w.write(base, off, size, w.regs[insn.Src])
		w.regs[insn.Src] = old
	case atomicCompare:
		// r0 is compared with what is there, and gets it; if they are equal
		// the source register takes its place.
		old := w.read(base, off, size)
		w.write(base, off, size, w.meet(old, w.regs[insn.Src]))
		w.regs[0] = old
	case atomicLoad:
		w.regs[insn.Dst] = w.read(w.regs[insn.Src], off, size)
	case atomicStore:
		w.write(base, off, size, w.regs[insn.Src])
	default:
		w.write(base, off, size, number(anyNumber))
		if insn.Imm&atomicFetch != 0 {
			w.regs[insn.Src] = number(anyNumber)
		}
	}
}

// base is the pointer that an instruction accesses memory through. If the
// access has a CO-RE relocation, the register points to the relocation's type,
// and the offset is one into that as the object lays it out: a flavour of a
// type has members elsewhere than the type.
func (w *walk) base(reg uint8) value {
	relo, ok := w.fn.code.Relos[w.at]
	if !ok || relo.Kind != object.COREFieldByteOffset {
		return w.regs[reg]
	}
	w.regs[reg] = w.expect(w.regs[reg], w.layouts.canonical(relo.Type), ctype.SpaceUnknown)
	return w.laidOut(w.regs[reg], btf.UnderlyingType(relo.Type))
}

// laidOut is a pointer, for an access by the layout of a CO-RE type: a flavour, or
// what another file of a linked object declares by the same name.
func (w *walk) laidOut(v value, layout btf.Type) value {
	if !v.ptr.known() || v.ptr.region != typed {
		return v
	}
	isOther := v.ptr.typ != layout && aggregateName(layout) != "" && aggregateName(v.ptr.typ) == aggregateName(layout)
	if isOther || layout != w.layouts.canonical(layout) {
		v.ptr.typ, v.ptr.off = layout, offset{}
	}
	return v
}

// expect is v, used where the program takes a pointer to t. What was not known
// of v becomes known, there and where it was loaded from.
func (w *walk) expect(v value, t btf.Type, space ctype.Space) value {
	if t == nil || w.without(Uses) {
		return v
	}
	want := typedPointer(t, space)
	w.learn(v, want)
	switch {
	case v.ptr.state == noPointer:
		v.ptr = want
	case v.ptr.known() && v.ptr.region == typed && v.flags&isGuess != 0 && !w.isInside(v.ptr, t):
		v.ptr.typ, v.ptr.off = t, offset{}
		v.flags &^= isGuess
	case v.ptr.known() && v.ptr.region == typed && v.ptr.off == (offset{}) && startsWith(t, v.ptr.typ):
		v.ptr.typ = t // a cast, which says nothing of other pointers from there
	}
	if v.ptr.known() && v.ptr.typ == t {
		v.flags &^= isLoose // from here on
	}
	return v
}

// learn notes what v is used as, where it was loaded from.
func (w *walk) learn(v value, want pointer) {
	switch {
	case v.from.state == oneOrigin && v.from.off == (offset{}):
		w.use(v.from.slot, w.meant(want), w.evidence(used))
	case v.from.state == manyOrigins && v.flags&isPartly == 0 && v.ptr.state == noPointer && v.like.known() && v.like.offset == (offset{}):
		w.useAlike(v.like, w.meant(want))
	}
}

// useAlike notes that the content of one of some places is used as a pointer: what holds
// for that one may hold for all, as nothing says which it is.
func (w *walk) useAlike(of kins, p pointer) {
	for _, id := range of.ids[:of.n] {
		c := w.cell(w.kin.slots[id])
		if joined := c.alike.joinUse(p); joined != c.alike {
			c.alike = joined
			w.change()
		}
	}
}

// isInside tells whether a pointer leads to a part of a struct that is a t, and that the
// object describes.
func (w *walk) isInside(p pointer, t btf.Type) bool {
	if p.typ == t {
		return p.off != (offset{})
	}
	part, ok := w.layouts.at(p.typ, p.off, 0)
	return ok && (w.layouts.element(part.typ) == t || beginsWith(part.typ, t, maxNesting) || startsWith(t, part.typ))
}

// hint is v, used where the program takes a pointer to integers, which most
// pointers can be cast to: it counts where nothing else is known.
func (w *walk) hint(v value, t btf.Type, space ctype.Space) {
	if t != nil && v.from.state == oneOrigin && v.from.off == (offset{}) && !w.without(Uses) {
		w.useWeakly(v.from.slot, typedPointer(t, space), w.evidence(used))
	}
}
