package cast

// This file prints instructions beside what the analysis knows at them.

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/ktgen/ktgen/object"
)

// place of an instruction in an object.
type instruction struct {
	code *object.Code
	at   int
}

// note is what the last pass saw at an instruction, in all contexts.
type note struct {
	reached bool
	result  value // of the register that it sets
	sets    bool
	slot    slot // that it reads or writes
	several bool // different ones
	touches bool
}

// notes is nil unless a listing was asked for.
func (w *walk) note() *note {
	if w.notes == nil || !w.noting {
		return nil
	}
	at := instruction{w.fn.code, w.at}
	n := w.notes[at]
	if n == nil {
		n = new(note)
		w.notes[at] = n
	}
	return n
}

// noteResult notes what an instruction has set.
func (w *walk) noteResult(insn object.Insn) {
	n := w.note()
	if n == nil {
		return
	}
	n.reached = true
	reg, sets := insn.Dst, false
	switch insn.Op & classMask {
	case classLd, classLdx, classAlu, classAlu8:
		sets = true
	default:
		if insn.Op == opCall {
			reg, sets = 0, true
		}
	}
	if sets && reg < numRegs && !w.dead {
		n.result, n.sets = n.result.join(w.regs[reg]), true
	}
}

// noteSlot notes a place that an instruction reads or writes.
func (w *walk) noteSlot(s slot) {
	n := w.note()
	if n == nil {
		return
	}
	n.several = n.several || n.touches && n.slot != s
	n.slot, n.touches = s, true
}

// List prints the functions of the object with what was found out at each
// instruction, those called name or, if it is empty, all. The analysis must
// have been run with [Options].Listing.
func (a *Analysis) List(out io.Writer, name string) error {
	w := bufio.NewWriter(out)
	var fns []*function
	for _, f := range a.functions {
		if name == "" || f.Name == name {
			fns = append(fns, f)
		}
	}
	slices.SortFunc(fns, func(a, b *function) int { return compareFunctions(a.Function, b.Function) })
	for i, f := range fns {
		if i > 0 {
			fmt.Fprintln(w)
		}
		a.listFunction(w, f)
	}
	return w.Flush()
}

// FunctionNames returns the names of the object's functions, sorted.
func (a *Analysis) FunctionNames() []string {
	var names []string
	for _, f := range a.functions {
		names = append(names, f.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (a *Analysis) listFunction(w io.Writer, f *function) {
	fmt.Fprintf(w, "%s (%s)\n", f.Name, f.Section)
	line := ""
	for at := f.start; at < f.end; at += f.width(at) {
		if l := f.code.Line(at); l != nil && l.String() != line {
			line = l.String()
			fmt.Fprintf(w, "; %s\n", line)
		}
		text := fmt.Sprintf("%6d: %s", at, f.code.Text(at))
		if remark := a.remark(f, at); remark != "" {
			text = fmt.Sprintf("%-58s ; %s", text, remark)
		}
		fmt.Fprintln(w, text)
	}
}

// remark says what is known at an instruction.
func (a *Analysis) remark(f *function, at int) string {
	n := a.notes[instruction{f.code, at}]
	if n == nil || !n.reached {
		return "not reached"
	}
	var parts []string
	if n.sets && (n.result.ptr.state != noPointer || n.result.flags&isOpaque != 0) {
		parts = append(parts, n.result.describe())
	}
	if n.touches && !n.several {
		parts = append(parts, n.slot.name()+a.verdict(n.slot))
	}
	return strings.Join(parts, "; ")
}

// verdict says what was found of a slot.
func (a *Analysis) verdict(s slot) string {
	c := a.cells[s]
	switch {
	case c == nil || !a.inQuestion(s):
		return ""
	case c.isMixed():
		return ": conflict"
	case c.isFinding():
		return fmt.Sprintf(": found to be %s * (%v)", spell(c.pointer().typ), a.class(s, c))
	}
	return ""
}
