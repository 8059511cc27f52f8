package cast

import (
	"cmp"
	"slices"
)

// This file keeps what instructions show of cells. That is part of a walk of a function in a context: of
// each, the last walk counts, in which everything is known that the analysis comes to.

// showing is what an instruction shows of a cell.
type showing struct {
	cell *cell
	kind EvidenceKind
	insn int
	spot int64 // see Evidence
	held content
}

// content is what descriptions tell of a value.
type content struct {
	ptr   pointer
	num   Number
	flags flags
}

// findings are what a walk shows that changes nothing while the analysis runs.
type findings struct {
	shown   []showing
	unknown []*cell // in which something is stored that nothing is known of
	loose   []slot  // in which something loose is stored
	lost    []int32 // slots, by number, in which something is stored that no slot held, and of which too little is known
}

func (f *findings) clear() {
	f.shown, f.unknown, f.loose, f.lost = f.shown[:0], f.unknown[:0], f.loose[:0], f.lost[:0]
}

// record keeps what the instruction that is looked at shows of a cell.
func (e *engine) record(c *cell, where Evidence, v value) {
	f := &e.current.findings
	f.shown = append(f.shown, showing{c, where.Kind, where.Insn, where.spot, content{v.ptr, v.num, v.flags}})
}

// conclude takes the findings of the contexts in which functions are called in the end.
func (e *engine) conclude() {
	seen := make(map[*callContext]bool)
	var add func(c *callContext)
	add = func(c *callContext) {
		if seen[c] {
			return
		}
		seen[c] = true
		e.take(c)
		for _, callee := range c.calls {
			add(callee)
		}
	}
	for _, c := range e.entries {
		add(c)
	}
}

// take adds the findings of a context to what is known of cells and slots.
func (e *engine) take(c *callContext) {
	for i := range c.findings.shown {
		s := &c.findings.shown[i]
		s.cell.shown = append(s.cell.shown, shownIn{s, c.fn})
	}
	for _, cell := range c.findings.unknown {
		cell.unknown = true
	}
	for _, s := range c.findings.loose {
		cell := e.cells[s]
		cell.loose = cell.loose || !(cell.firm && e.isSaid(s))
	}
	for _, n := range c.findings.lost {
		e.flows.lost[n] = true
	}
}

// shownIn is a showing with the function that it is in.
type shownIn struct {
	*showing
	fn *function
}

// proof is the evidence for a slot, with the lines of C. Of an instruction that shows the same in several
// ways, the first kind counts.
func (e *engine) proof(c *cell) []Evidence {
	proof := make([]Evidence, 0, len(c.shown))
	for _, s := range c.shown {
		v := value{ptr: s.held.ptr, num: s.held.num, flags: s.held.flags}
		proof = append(proof, Evidence{
			Kind: s.kind, Function: s.fn.Name, Section: s.fn.code.Section, Insn: s.insn, What: v.describe(),
			Line: s.fn.code.Line(s.insn), pointer: v.ptr.state != noPointer, spot: s.spot,
		})
	}
	slices.SortFunc(proof, func(a, b Evidence) int {
		return cmp.Or(compareShown(a, b), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.spot, b.spot))
	})
	return slices.CompactFunc(proof, func(a, b Evidence) bool { return compareShown(a, b) == 0 })
}

func compareShown(a, b Evidence) int {
	return cmp.Or(cmp.Compare(a.Section, b.Section), cmp.Compare(a.Insn, b.Insn), cmp.Compare(a.What, b.What))
}
