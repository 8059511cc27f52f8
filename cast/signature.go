package cast

// This file tells which prototypes hold for the code. BTF has those of the source.
// A compiler changes functions that only it can see calls of: it leaves out
// arguments that are not needed, or the same everywhere, and passes what a pointer
// leads to in place of the pointer. Registers hold something else then.

import (
	"regexp"

	"github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/object"
)

const maxParams = 5 // that are passed in registers

// signature returns what a function's registers hold by its prototype, nil if that
// is not known: it has none, or its code belies it.
func (e *engine) signature(f *function) *btf.FuncProto {
	proto := prototype(f)
	if proto == nil || !f.Static || e.addressed[f] {
		return proto
	}
	kept, known := e.kept[f]
	if !known {
		kept = e.keepsParameters(f, proto)
		e.kept[f] = kept
	}
	if !kept {
		return nil
	}
	return proto
}

// keepsParameters tells whether the code of a function reads as many registers as
// it has parameters, and accesses what their types have.
func (e *engine) keepsParameters(f *function, proto *btf.FuncProto) bool {
	n := min(len(proto.Params), maxParams)
	read := e.entryRegisters(f)
	if read.reads>>(n+1) != 0 {
		return false
	}
	for i := range n {
		if (read.reads|read.passes)&(1<<(i+1)) == 0 {
			return false
		}
	}
	uses := f.parameterUses(n)
	for i := range n {
		if !e.agrees(f, proto.Params[i], &uses[i]) {
			return false
		}
	}
	return true
}

// agrees tells whether the code does with a parameter what its type allows, and
// what lines of C say it does: "list->head" needs an access through the register.
func (e *engine) agrees(f *function, p btf.FuncParam, use *parameterUse) bool {
	target, _, ok := e.layouts.pointee(p.Type)
	if !ok {
		return true
	}
	if use.computed {
		return target == nil || isScalar(target)
	}
	if target == nil || isScalar(target) {
		return true
	}
	for _, a := range use.accesses {
		if _, fits := e.layouts.at(target, a.off, a.size); !fits && !e.spans(target, a.access) {
			return false
		}
		if name := accessedMember(f.code, a.at.at); name != "" && !hasMemberAt(target, name, a.off, maxNesting) {
			return false
		}
	}
	return use.passed || len(use.accesses) > 0 || !f.mentions(p.Name)
}

// mentions tells whether a line of a function accesses what a parameter of this
// name points to.
func (f *function) mentions(name string) bool {
	access, err := regexp.Compile(`\b` + regexp.QuoteMeta(name) + `\s*->`)
	if err != nil || name == "" {
		return false
	}
	for at := f.start; at < f.end; at += f.width(at) {
		if l := f.code.Line(at); l != nil && access.MatchString(l.Text) {
			return true
		}
	}
	return false
}

// registersRead is which of r1 to r5 a function reads before it sets them, as a set of
// bits, and which ones it may pass on to what it calls where that is not known.
type registersRead struct{ reads, passes uint16 }

// entryRegisters returns what a function reads. What a call of a static function reads is
// what that does: the compiler may have left out arguments. While a function's own is being
// found out, it may read any.
func (e *engine) entryRegisters(f *function) registersRead {
	read, known := e.entered[f]
	if !known {
		e.entered[f] = registersRead{passes: argumentRegisters}
		read = e.findEntryRegisters(f)
		e.entered[f] = read
	}
	return read
}

// argumentRegisters are r1 to r5, as a set of bits.
const argumentRegisters = 0x3e

func (e *engine) findEntryRegisters(f *function) registersRead {
	live := make([]uint16, len(f.blocks))
	may := make([]uint16, len(f.blocks))
	for changed := true; changed; {
		changed = false
		for i := len(f.blocks) - 1; i >= 0; i-- {
			var l, m uint16
			for _, next := range f.blocks[i].next {
				l, m = l|live[next], m|may[next]
			}
			l, m = e.liveBefore(f, &f.blocks[i], l, m)
			changed = changed || l != live[i] || m != may[i]
			live[i], may[i] = l, m
		}
	}
	if len(f.blocks) == 0 {
		return registersRead{}
	}
	return registersRead{live[0] & argumentRegisters, may[0] & argumentRegisters}
}

// liveBefore takes the registers that are read after a block back to its start.
func (e *engine) liveBefore(f *function, b *block, live, may uint16) (uint16, uint16) {
	var at []int
	for i := b.first; i < b.end; i += f.width(i) {
		at = append(at, i)
	}
	for n := len(at) - 1; n >= 0; n-- {
		sets, reads, passes := e.registersOf(f, at[n])
		live, may = live&^sets|reads, may&^sets|passes
	}
	return live, may
}

// registersOf returns the registers that an instruction sets, reads, and may pass
// to a callee.
func (e *engine) registersOf(f *function, at int) (sets, reads, passes uint16) {
	insn := f.code.Insns[at]
	if insn.Dst >= numRegs || insn.Src >= numRegs && insn.Op != opCall {
		return 0, 0, 0
	}
	dst, src := uint16(1)<<insn.Dst, uint16(1)<<(insn.Src&0xf)
	switch insn.Op & classMask {
	case classLd:
		return dst, 0, 0
	case classLdx:
		return dst, src, 0
	case classSt:
		return 0, dst, 0
	case classStx:
		return 0, dst | src, 0
	case classAlu, classAlu8:
		if insn.Op&sourceX == 0 {
			src = 0
		}
		if insn.Op&opMask == opMov {
			return dst, src, 0
		}
		return dst, dst | src, 0
	}
	switch {
	case insn.Op == opCall || insn.Op == opCallX:
		taken := e.taken(f, at)
		return argumentRegisters | 1, taken.reads, taken.passes
	case insn.Op == opExit || insn.Op == opGoto || insn.Op == opGotoL:
		return 0, 0, 0
	case insn.Op&sourceX == 0:
		src = 0
	}
	return 0, dst | src, 0
}

// taken returns the registers that a call reads: any it may where nothing says that.
func (e *engine) taken(f *function, at int) registersRead {
	var proto *btf.FuncProto
	if callee := f.callee(at); callee != nil {
		if callee.Static {
			return e.entryRegisters(callee)
		}
		proto = prototype(callee)
	} else if ref, ok := f.code.Refs[at]; ok && ref.Kind == object.RefExtern && ref.Extern != nil {
		if fn, ok := ref.Extern.Type.(*btf.Func); ok {
			proto, _ = fn.Type.(*btf.FuncProto)
		}
	}
	if proto == nil {
		return registersRead{passes: argumentRegisters}
	}
	return registersRead{reads: uint16(1)<<(paramCount(proto)+1) - 2}
}

func paramCount(proto *btf.FuncProto) int {
	if proto == nil {
		return 0
	}
	return min(len(proto.Params), maxParams)
}

// parameterUse is what a function does with a parameter itself.
type parameterUse struct {
	accesses []trace
	stores   []storedParameter
	passed   bool // on, to another function, or into memory
	computed bool // with, as with no pointer
}

// storedParameter is an instruction that stores a parameter.
type storedParameter struct {
	heldParameter
	at int
}

// holding says which parameter each register holds, counted from 1, how far it was
// moved, and which parameter each stack slot has.
type holding struct {
	regs  [numRegs]heldParameter
	stack map[int16]heldParameter
}

type heldParameter struct {
	param int
	moved offset
}

// parameterUses follows the parameters through copies of their registers.
func (f *function) parameterUses(n int) []parameterUse {
	uses := make([]parameterUse, n)
	if len(f.blocks) == 0 {
		return uses
	}
	in := make([]*holding, len(f.blocks))
	in[0] = &holding{}
	for i := range n {
		in[0].regs[i+1].param = i + 1
	}
	pending := []int{0}
	for len(pending) > 0 {
		i := pending[0]
		pending = pending[1:]
		out := in[i].clone()
		f.followParameters(&f.blocks[i], out, nil)
		for _, next := range f.blocks[i].next {
			if in[next] == nil {
				in[next] = out.clone()
			} else if !in[next].meet(out) {
				continue
			}
			pending = append(pending, next)
		}
	}
	for i := range f.blocks {
		if in[i] != nil {
			f.followParameters(&f.blocks[i], in[i], uses)
		}
	}
	return uses
}

func (h *holding) clone() *holding {
	c := &holding{regs: h.regs, stack: make(map[int16]heldParameter, len(h.stack))}
	for off, p := range h.stack {
		c.stack[off] = p
	}
	return c
}

// meet keeps what both hold, and tells whether that changed h.
func (h *holding) meet(o *holding) (changed bool) {
	for i := range h.regs {
		if h.regs[i].param != 0 && h.regs[i] != o.regs[i] {
			h.regs[i], changed = heldParameter{}, true
		}
	}
	for off, p := range h.stack {
		if o.stack[off] != p {
			delete(h.stack, off)
			changed = true
		}
	}
	return changed
}

// followParameters takes a block's instructions, and notes what they do.
func (f *function) followParameters(b *block, h *holding, uses []parameterUse) {
	for at := b.first; at < b.end; at += f.width(at) {
		insn := f.code.Insns[at]
		if insn.Dst >= numRegs || insn.Src >= numRegs {
			continue
		}
		if uses != nil {
			f.noteUse(at, h, uses)
		}
		h.step(insn)
	}
}

// storedParameter returns what an instruction stores that a parameter is declared to lead to,
// or a part of that: nil if it stores nothing of the kind.
func (e *engine) storedParameter(f *function, at int) btf.Type {
	stored, known := e.storedOf[f]
	if !known {
		stored = make(map[int]btf.Type)
		if proto := e.signature(f); proto != nil {
			e.findStoredParameters(f, proto, stored)
		}
		e.storedOf[f] = stored
	}
	return stored[at]
}

func (e *engine) findStoredParameters(f *function, proto *btf.FuncProto, found map[int]btf.Type) {
	for _, use := range f.parameterUses(min(len(proto.Params), maxParams)) {
		for _, s := range use.stores {
			target, _, ok := e.layouts.pointee(proto.Params[s.param-1].Type)
			if !ok || target == nil || isScalar(target) {
				continue
			}
			if part, ok := e.layouts.at(target, s.moved, 0); ok && (s.moved == offset{} || firstStruct(part.typ) == nil) {
				found[s.at] = e.layouts.element(part.typ)
			}
		}
	}
}

// noteUse notes what an instruction does with parameters.
func (f *function) noteUse(at int, h *holding, uses []parameterUse) {
	insn := f.code.Insns[at]
	of := func(reg uint8) *parameterUse {
		if p := h.regs[reg].param; p > 0 {
			return &uses[p-1]
		}
		return new(parameterUse)
	}
	access := func(reg uint8) {
		off := h.regs[reg].moved.add(constant(int64(insn.Off)))
		use := of(reg)
		use.accesses = append(use.accesses, trace{access: access{off, accessSize(insn.Op)}, at: instruction{f.code, at}})
	}
	switch class := insn.Op & classMask; {
	case class == classLdx:
		access(insn.Src)
	case class == classSt:
		access(insn.Dst)
	case class == classStx:
		access(insn.Dst)
		use := of(insn.Src)
		use.passed = true
		use.stores = append(use.stores, storedParameter{h.regs[insn.Src], at})
	case insn.Op == opCall || insn.Op == opCallX:
		for reg := uint8(1); reg <= maxParams; reg++ {
			of(reg).passed = true
		}
	case class == classAlu8 && insn.Op&opMask != opMov && insn.Op&opMask != opAdd && insn.Op&opMask != opSub && insn.Op&opMask != opAnd:
		of(insn.Dst).computed = true
	case class == classAlu && insn.Op&opMask != opMov:
		of(insn.Dst).computed = true
	}
}

// isSpill tells whether an instruction keeps a whole register on the stack.
func isSpill(insn object.Insn) bool {
	return storesRegister(insn) && insn.Dst == 10 && accessSize(insn.Op) == slotSize
}

// isReload tells whether an instruction loads a whole register from the stack.
func isReload(insn object.Insn) bool {
	return insn.Op&classMask == classLdx && insn.Src == 10 && accessSize(insn.Op) == slotSize
}

// isCopy tells whether an instruction copies a register, or casts its address to another
// address space (offset 1).
func isCopy(insn object.Insn) bool {
	return insn.Op == classAlu8|opMov|sourceX && (insn.Off == 0 || insn.Off == 1)
}

// step follows an instruction.
func (h *holding) step(insn object.Insn) {
	class := insn.Op & classMask
	switch {
	case isSpill(insn):
		if h.stack == nil {
			h.stack = make(map[int16]heldParameter)
		}
		h.stack[insn.Off] = h.regs[insn.Src]
	case isReload(insn):
		h.regs[insn.Dst] = h.stack[insn.Off]
	case isCopy(insn):
		h.regs[insn.Dst] = h.regs[insn.Src]
	case insn.Op == classAlu8|opAdd && h.regs[insn.Dst].param > 0:
		h.regs[insn.Dst].moved = h.regs[insn.Dst].moved.add(constant(int64(insn.Imm)))
	case class == classAlu || class == classAlu8 || class == classLd || class == classLdx:
		h.regs[insn.Dst] = heldParameter{}
	case insn.Op == opCall || insn.Op == opCallX:
		for reg := 0; reg <= maxParams; reg++ {
			h.regs[reg] = heldParameter{}
		}
	}
}
