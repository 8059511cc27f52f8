package cast

// This file keeps apart what a function leaves on its caller's stack where it returns zero,
// and where it does not: most fail without a result.

// outcome is a call, and what the stack is after it.
type outcome struct {
	at    int    // instruction
	stack frames // whatever it returns
	ends  [2]*state
}

// Ends of a function by what it returns.
const (
	endsZero = iota
	endsOther
)

// endsOf returns the ends that a result may be of.
func endsOf(result value) []int {
	n, ok := result.asNumber()
	c, isConst := n.Const()
	switch {
	case !ok || !isConst:
		return []int{endsZero, endsOther}
	case uint32(c) == 0:
		return []int{endsZero}
	}
	return []int{endsOther}
}

// addEnd adds a state to those at the ends of a function that may be of its result.
func (w *walk) addEnd(out *state) {
	for _, end := range endsOf(w.values.all[out.regs[0]]) {
		if w.ends[end] == nil {
			reached := *out
			w.ends[end] = &reached
			continue
		}
		w.ends[end].merge(out, w.values.join)
	}
}

// mergeEnds adds the states at the ends of a function, and tells whether that changed what
// is known of them.
func (c *callContext) mergeEnds(ends [2]*state, how combine) (changed bool) {
	for i, end := range ends {
		switch {
		case end == nil:
		case c.ends[i] == nil:
			c.ends[i], changed = end, true
		default:
			changed = c.ends[i].merge(end, how) || changed
		}
	}
	return changed
}

// refineOutcome makes the stack of a state what it is where the last call of a block
// returned zero, or did not, if that is what the block's last instruction asks.
func (w *walk) refineOutcome(b *block, s *state, taken bool) {
	last := w.fn.last(b)
	insn := w.fn.code.Insns[last]
	op, class := insn.Op&opMask, insn.Op&classMask
	isAsked := (class == classJmp || class == classJmp2) && (op == opJeq || op == opJne) && insn.Op&sourceX == 0 && insn.Dst == 0 && insn.Imm == 0
	o := w.outcome
	if !isAsked || o == nil || !isSame(o.stack, s.stack) || w.fn.setsResult(o.at+1, last) {
		return
	}
	end := endsOther
	if taken == (op == opJeq) {
		end = endsZero
	}
	if o.ends[end] != nil {
		s.stack = w.engine.deeper(o.ends[end].stack, -1)
	}
}

// isSame tells whether two stacks are one.
func isSame(a, b frames) bool { return len(a) == len(b) && len(a) > 0 && &a[0] == &b[0] }

// setsResult tells whether an instruction of [first, last) may set r0.
func (f *function) setsResult(first, last int) bool {
	for at := first; at < last; at += f.width(at) {
		insn := f.code.Insns[at]
		switch insn.Op & classMask {
		case classSt:
		case classStx:
			const modeMask, modeAtomic = 0xe0, 0xc0
			if insn.Op&modeMask == modeAtomic {
				return true
			}
		default:
			if insn.Dst == 0 || insn.Op == opCall || insn.Op == opCallX {
				return true
			}
		}
	}
	return false
}
