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
	blockAt    map[int]int // by first instruction
}

// block is a run of instructions that only its last one leaves.
type block struct {
	first, end int
	next       []int // blocks
}

// newFunction finds the blocks of a function. What it jumps to outside of
// itself, or inside a wide load, is reported and not followed.
func newFunction(fn *object.Function, code *object.Code) (*function, []string) {
	f := &function{
		Function: fn,
		code:     code,
		start:    int(fn.Offset / 8),
		end:      min(int((fn.Offset+fn.Size)/8), len(code.Insns)),
		blockAt:  make(map[int]int),
	}
	leaders, gaps := f.leaders()
	for i, first := range leaders {
		end := f.end
		if i+1 < len(leaders) {
			end = leaders[i+1]
		}
		f.blockAt[first] = len(f.blocks)
		f.blocks = append(f.blocks, block{first: first, end: end})
	}
	for i := range f.blocks {
		b := &f.blocks[i]
		for _, target := range f.successors(f.last(b)) {
			if to, ok := f.blockAt[target]; ok {
				b.next = append(b.next, to)
			}
		}
	}
	return f, gaps
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

// successors returns the instructions that can follow one.
func (f *function) successors(at int) []int {
	insn, next := f.code.Insns[at], at+f.width(at)
	class := insn.Op & classMask
	switch {
	case insn.Op == opExit:
		return nil
	case insn.Op == opGoto:
		return []int{next + int(insn.Off)}
	case insn.Op == opGotoL:
		return []int{next + int(insn.Imm)}
	case (class == classJmp || class == classJmp2) && insn.Op != opCall && insn.Op != opCallX:
		return []int{next, next + int(insn.Off)}
	}
	return []int{next}
}

// leaders returns the instructions that start blocks, ascending.
func (f *function) leaders() (leaders []int, gaps []string) {
	starts := map[int]bool{}
	for at := f.start; at < f.end; at += f.width(at) {
		starts[at] = true
	}
	set := map[int]bool{f.start: true}
	for at := range starts {
		targets := f.successors(at)
		if len(targets) == 1 && targets[0] == at+f.width(at) {
			if !starts[targets[0]] {
				gaps = append(gaps, fmt.Sprintf("%s: instruction %d runs off the end of the function", f.Name, at-f.start))
			}
			continue
		}
		set[at+f.width(at)] = true
		for _, target := range targets {
			if !starts[target] {
				gaps = append(gaps, fmt.Sprintf("%s: instruction %d jumps to %d, which is no instruction of the function", f.Name, at-f.start, target-f.start))
				continue
			}
			set[target] = true
		}
	}
	for at := range set {
		if starts[at] {
			leaders = append(leaders, at)
		}
	}
	slices.Sort(leaders)
	slices.Sort(gaps)
	return leaders, gaps
}
