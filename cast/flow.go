package cast

// This file cuts functions into basic blocks.

import (
	"fmt"
	"slices"

	"github.com/ktgen/ktgen/object"
)

// Instruction classes and opcodes (include/uapi/linux/bpf.h).
const (
	classMask = 0x07
	classLd   = 0x00
	classLdx  = 0x01
	classSt   = 0x02
	classStx  = 0x03
	classAlu  = 0x04
	classJmp  = 0x05
	classJmp2 = 0x06 // JMP32
	classAlu8 = 0x07 // ALU64

	opMask   = 0xf0
	opJa     = 0x00
	opCall   = 0x85
	opCallX  = 0x8d
	opExit   = 0x95
	opGoto   = 0x05 // JMP | JA: to off
	opGotoL  = 0x06 // JMP32 | JA: to imm
	opWide   = 0x18 // LD | IMM | DW: takes two slots
	sourceX  = 0x08 // the operand is a register
	pseudoCl = 1    // src of a call: a subprogram
	pseudoKf = 2    // src of a call: a kfunc
)

// isOpcode tells whether an opcode is one that the kernel has.
func isOpcode(op uint8) bool {
	const (
		modeMask   = 0xe0
		modeAbs    = 0x20
		modeInd    = 0x40
		modeMem    = 0x60
		modeMemSX  = 0x80
		modeAtomic = 0xc0
	)
	mode := op & modeMask
	switch op & classMask {
	case classLd:
		return op == opWide || mode == modeAbs || mode == modeInd
	case classLdx:
		return mode == modeMem || mode == modeMemSX
	case classSt:
		return mode == modeMem
	case classStx:
		return mode == modeMem || mode == modeAtomic
	case classJmp, classJmp2:
		return op&opMask <= 0xe0 // the last one is JCOND
	}
	return op&opMask <= 0xd0
}

// function is a function with its body.
type function struct {
	*object.Function
	code       *object.Code
	start, end int // instructions of code: [start, end)
	blocks     []block
	callees    []callee // by instruction

	asksForRoom bool // it calls for memory of no type itself
}

// block is a run of instructions that only its last one leaves.
type block struct {
	first, end int
	next       []int   // blocks
	back       [2]bool // which of them lead back to where control may come from
}

// newFunction finds the blocks of a function. What it jumps to outside of
// itself, or inside a wide load, is reported and not followed.
func newFunction(fn *object.Function, code *object.Code) (*function, []string) {
	f := &function{
		Function: fn,
		code:     code,
		start:    int(fn.Offset / 8),
		end:      min(int((fn.Offset+fn.Size)/8), len(code.Insns)),
	}
	marks, gaps := f.mark()
	blockAt := make([]int32, len(marks)) // by first instruction
	for i, m := range marks {
		if m != starts|leads {
			continue
		}
		if n := len(f.blocks); n > 0 {
			f.blocks[n-1].end = f.start + i
		}
		blockAt[i] = int32(len(f.blocks))
		f.blocks = append(f.blocks, block{first: f.start + i, end: f.end})
	}
	next := make([]int, 0, 2*len(f.blocks)) // of all blocks
	for i := range f.blocks {
		b, first := &f.blocks[i], len(next)
		targets, n := f.successors(f.last(b))
		for _, target := range targets[:n] {
			if at := target - f.start; at >= 0 && at < len(marks) && marks[at] == starts|leads {
				next = append(next, int(blockAt[at]))
			}
		}
		b.next = next[first:len(next):len(next)]
	}
	f.findLoops()
	return f, gaps
}

// findLoops finds the edges that close loops: those that lead to a block on the way to
// where they begin.
func (f *function) findLoops() {
	const (
		isNew uint8 = iota
		isOpen
		isDone
	)
	marks := make([]uint8, len(f.blocks))
	type step struct{ block, next int }
	var way []step
	enter := func(i int) { marks[i], way = isOpen, append(way, step{block: i}) }
	if len(f.blocks) > 0 {
		enter(0)
	}
	for len(way) > 0 {
		at := &way[len(way)-1]
		b := &f.blocks[at.block]
		if at.next == len(b.next) {
			marks[at.block], way = isDone, way[:len(way)-1]
			continue
		}
		to := b.next[at.next]
		b.back[at.next] = marks[to] == isOpen
		at.next++
		if marks[to] == isNew {
			enter(to)
		}
	}
}

// last returns the last instruction of a block.
func (f *function) last(b *block) int {
	at := b.first
	for next := at; next < b.end; next += f.width(next) {
		at = next
	}
	return at
}

// width returns how many slots an instruction takes.
func (f *function) width(at int) int {
	if f.code.Insns[at].Op == opWide {
		return 2
	}
	return 1
}

// successors returns the n instructions that can follow one.
func (f *function) successors(at int) (targets [2]int, n int) {
	insn, next := f.code.Insns[at], at+f.width(at)
	class := insn.Op & classMask
	switch {
	case insn.Op == opExit:
		return targets, 0
	case insn.Op == opGoto:
		return [2]int{next + int(insn.Off)}, 1
	case insn.Op == opGotoL:
		return [2]int{next + int(insn.Imm)}, 1
	case (class == classJmp || class == classJmp2) && insn.Op != opCall && insn.Op != opCallX:
		return [2]int{next, next + int(insn.Off)}, 2
	}
	return [2]int{next}, 1
}

// mark is what a slot of a function is.
type mark uint8

const (
	starts mark = 1 << iota // an instruction starts there
	leads                   // a block would
)

// mark finds the instructions that start blocks: those with both marks.
func (f *function) mark() (marks []mark, gaps []string) {
	if f.start >= f.end {
		return nil, nil
	}
	marks = make([]mark, f.end-f.start)
	for at := f.start; at < f.end; at += f.width(at) {
		marks[at-f.start] |= starts
	}
	is := func(at int) bool { return at >= f.start && at < f.end && marks[at-f.start]&starts != 0 }
	lead := func(at int) {
		if at >= f.start && at < f.end {
			marks[at-f.start] |= leads
		}
	}
	lead(f.start)
	for at := f.start; at < f.end; at += f.width(at) {
		targets, n := f.successors(at)
		if n == 1 && targets[0] == at+f.width(at) {
			if !is(targets[0]) {
				gaps = append(gaps, fmt.Sprintf("%s: instruction %d runs off the end of the function", f.Name, at-f.start))
			}
			continue
		}
		lead(at + f.width(at))
		for _, target := range targets[:n] {
			if !is(target) {
				gaps = append(gaps, fmt.Sprintf("%s: instruction %d jumps to %d, which is no instruction of the function", f.Name, at-f.start, target-f.start))
				continue
			}
			lead(target)
		}
	}
	slices.Sort(gaps)
	return marks, gaps
}
