package cast

// This file follows a value back from where it is stored or used to where it
// comes from, for people: the analysis does not depend on it.

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/ktgen/ktgen/object"
)

// Step is an instruction that a value passes through.
type Step struct {
	Function string
	Section  string
	Insn     int
	Line     *object.Line // nil if not known
	Text     string       // the instruction, as the verifier prints it
	What     string       // what it does to the value
}

// maxSteps bounds a chain, and maxLookBack the instructions that are searched
// for the previous link of it.
const (
	maxSteps    = 24
	maxLookBack = 4096
)

// Chain returns the instructions by which the value of a piece of evidence got
// there, from its source to the evidence itself. Where several paths of
// control lead there, it is one of them.
func (a *Analysis) Chain(ev Evidence) []Step {
	f := a.functionAt(ev.Section, ev.Insn)
	if f == nil || ev.Insn >= len(f.code.Insns) {
		return nil
	}
	t := &tracer{function: f, section: ev.Section}
	t.step(ev.Insn, ev.Kind.String()+" as "+ev.What)
	if h, ok := t.source(ev); ok {
		t.follow(ev.Insn, h)
	}
	slices.Reverse(t.steps)
	return t.steps
}

// source is what holds the value at the instruction that is the evidence.
func (t *tracer) source(ev Evidence) (h holder, ok bool) {
	insn := t.code.Insns[ev.Insn]
	switch class := insn.Op & classMask; {
	case ev.spot != 0:
		return holder{off: int16(ev.spot), spot: true}, true
	case class == classStx && ev.Kind == stored, class == classLdx:
		return holder{reg: insn.Src}, true
	case class == classStx, class == classAlu8 && ev.Kind != stored:
		return holder{reg: insn.Dst}, true
	}
	return holder{}, false
}

func (e *engine) functionAt(section string, at int) *function {
	fns := e.inSection[section]
	i, found := slices.BinarySearchFunc(fns, at, func(f *function, at int) int { return cmp.Compare(f.start, at) })
	if !found {
		i--
	}
	if i < 0 || at >= fns[i].end {
		return nil
	}
	return fns[i]
}

// tracer collects a chain, backwards.
type tracer struct {
	*function
	section string
	steps   []Step
}

func (t *tracer) step(at int, what string) {
	t.steps = append(t.steps, Step{
		Function: t.Name, Section: t.section, Insn: at,
		Line: t.code.Line(at), Text: t.code.Text(at), What: what,
	})
}

// holder is what is followed: a register, or a stack slot.
type holder struct {
	reg  uint8
	off  int16 // from r10, if spot
	spot bool  // it is the stack slot
}

// follow goes back from an instruction to where what is held comes from.
func (t *tracer) follow(at int, h holder) {
	for len(t.steps) < maxSteps {
		def, found := t.definition(at, h)
		if !found {
			if !h.spot && h.reg >= 1 && h.reg <= 5 {
				t.step(t.start, t.parameterName(int(h.reg)-1))
			}
			return
		}
		next, what, ok := t.through(def, h)
		t.step(def, what)
		if !ok {
			return
		}
		at, h = def, next
	}
}

func (t *tracer) parameterName(i int) string {
	proto := prototype(t.function)
	if proto == nil || i >= len(proto.Params) {
		return fmt.Sprintf("argument %d of %s", i+1, t.Name)
	}
	p := proto.Params[i]
	return fmt.Sprintf("argument %s of %s, %s", p.Name, t.Name, spell(p.Type))
}

// definition returns the nearest instruction before one, by the shortest path
// of control, that sets a place.
func (t *tracer) definition(at int, h holder) (def int, found bool) {
	type span struct{ first, last int }
	first := t.blockOf(at)
	if first < 0 {
		return 0, false
	}
	preds := t.predecessors()
	queue := []span{{first, at}}
	seen := map[int]bool{}
	for looked := 0; len(queue) > 0 && looked < maxLookBack; {
		s := queue[0]
		queue = queue[1:]
		b := &t.blocks[s.first]
		last := -1
		for i := b.first; i < min(s.last, b.end); i += t.width(i) {
			if looked++; t.sets(i, h) {
				last = i
			}
		}
		if last >= 0 {
			return last, true
		}
		for _, p := range preds[s.first] {
			if !seen[p] {
				seen[p] = true
				queue = append(queue, span{p, t.blocks[p].end})
			}
		}
	}
	return 0, false
}

func (t *tracer) blockOf(at int) int {
	for i := range t.blocks {
		if at >= t.blocks[i].first && at < t.blocks[i].end {
			return i
		}
	}
	return -1
}

func (t *tracer) predecessors() map[int][]int {
	preds := make(map[int][]int)
	for i := range t.blocks {
		for _, next := range t.blocks[i].next {
			preds[next] = append(preds[next], i)
		}
	}
	return preds
}

// sets tells whether an instruction sets a place.
func (t *tracer) sets(at int, h holder) bool {
	insn := t.code.Insns[at]
	class := insn.Op & classMask
	if h.spot {
		return (class == classStx || class == classSt) && insn.Dst == 10 && insn.Off == h.off
	}
	switch class {
	case classLd, classLdx, classAlu, classAlu8:
		return insn.Dst == h.reg
	case classStx:
		return insn.Op&0xe0 == 0xc0 && setsByAtomic(insn, h.reg)
	}
	return insn.Op == opCall && h.reg <= 5
}

func setsByAtomic(insn object.Insn, reg uint8) bool {
	switch {
	case insn.Imm == atomicCompare:
		return reg == 0
	case insn.Imm == atomicLoad:
		return reg == insn.Dst
	}
	return insn.Imm&atomicFetch != 0 && reg == insn.Src
}

// through says what an instruction makes a place of, and what that was before;
// ok is false if it comes from here.
func (t *tracer) through(at int, h holder) (before holder, what string, ok bool) {
	insn := t.code.Insns[at]
	switch class := insn.Op & classMask; {
	case h.spot && class == classStx:
		return holder{reg: insn.Src}, "kept on the stack", true
	case class == classLdx && insn.Src == 10:
		return holder{off: insn.Off, spot: true}, "from the stack", true
	case class == classLdx:
		return h, t.loaded(at), false
	case class == classLd:
		return h, "an address", false
	case insn.Op == opCall:
		return h, "the result of the call", false
	case class == classAlu8 && insn.Op&opMask == opMov && insn.Op&sourceX != 0:
		return holder{reg: insn.Src}, "copied", true
	case class == classAlu8 && (insn.Op&opMask == opAdd || insn.Op&opMask == opSub):
		return h, "moved", true
	}
	return h, "", false
}

// loaded says what a load reads, if the kernel passes it.
func (t *tracer) loaded(at int) string {
	if relo, ok := t.code.Relos[at]; ok {
		return "a member of " + spell(relo.Type)
	}
	if t.Program() && isContext(t.function) && t.blockOf(at) == 0 && t.code.Insns[at].Src == 1 {
		return fmt.Sprintf("argument %d that the kernel passes", t.code.Insns[at].Off/slotSize)
	}
	return "read from memory"
}
