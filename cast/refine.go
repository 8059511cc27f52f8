package cast

// This file learns from conditional jumps: where r1 was compared with zero, it
// is zero on one side and not on the other.

// refinement is a comparison with a constant at the end of a block.
type refinement struct {
	reg      uint8
	constant int64
	equal    bool // the jump is taken if they are
}

// Jumps on equality.
const (
	opJeq = 0x10
	opJne = 0x50
)

// refinement returns what the last instruction of a block tells, or nil.
func (w *walk) refinement(b *block) *refinement {
	insn := w.fn.code.Insns[w.fn.last(b)]
	op := insn.Op & opMask
	if len(b.next) != 2 || insn.Op&classMask != classJmp || insn.Op&sourceX != 0 || insn.Dst >= numRegs || op != opJeq && op != opJne {
		return nil
	}
	return &refinement{reg: insn.Dst, constant: int64(insn.Imm), equal: op == opJeq}
}

// apply adds what a comparison tells on one of its two sides, and tells
// whether control can get there.
func (r *refinement) apply(w *walk, s *state, taken bool) bool {
	v, ok := r.refined(w.values.all[s.regs[r.reg]], taken == r.equal)
	if !ok {
		return false
	}
	s.regs[r.reg] = w.values.id(v)
	return true
}

// refined is a value that is known to be the constant, or known not to be.
func (r *refinement) refined(v value, equal bool) (value, bool) {
	switch {
	case r.constant != 0:
		return v, true
	case equal:
		if v.ptr.known() && v.flags == 0 && v.ptr.region != typed {
			return v, false // the address of a frame is not zero
		}
		return value{flags: isNull}, true
	case v.ptr.state == noPointer && v.flags == isNull && v.from.state == noOrigin:
		return v, false // it is zero
	}
	v.flags &^= isNull
	return v, true
}
