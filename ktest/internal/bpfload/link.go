package bpfload

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/object"
)

// This file puts programs together with the functions that they call, each behind those
// before it that are called, or whose address is taken, from within what is in front of it
// (bpf_object__reloc_code in tools/lib/bpf/libbpf.c). What the verifier visits, and how
// often, depends on that order.

// Operations, and what the source register of some of them says (BPF_PSEUDO_* of
// include/uapi/linux/bpf.h).
const (
	opCall    = 0x85 // BPF_JMP | BPF_CALL
	opLoadImm = 0x18 // BPF_LD | BPF_IMM | BPF_DW, which takes two instructions

	pseudoMapFD    = 1
	pseudoMapValue = 2
	pseudoBTFID    = 3
	pseudoFunc     = 4

	pseudoCall  = 1
	pseudoKfunc = 2
)

const insnSize = 8 // bytes

// code is a program and its functions. What it refers to in the kernel or in maps is
// beside the instructions.
type code struct {
	insns []object.Insn
	refs  map[int]object.Ref
	funcs map[int]*btf.Func // that begin at an instruction
	lines []*btf.Line       // of each instruction, nil where none begins
	relos []coreRelo
	parts []part // by where they begin
}

// part is a function of a program.
type part struct {
	fn    *object.Function
	start int
}

// coreRelo is a CO-RE relocation of an instruction.
type coreRelo struct {
	at   int
	relo *btf.CORERelocation
	core object.CORERelo
}

// partAt returns the function that an instruction is in.
func (c *code) partAt(at int) part {
	next, _ := slices.BinarySearchFunc(c.parts, at, func(p part, at int) int {
		if p.start <= at {
			return -1
		}
		return 1
	})
	return c.parts[max(next-1, 0)]
}

// linker makes code of an object's functions.
type linker struct {
	obj   *object.Object
	code  map[string]*object.Code // by section
	lines map[string][]*btf.Line  // of each instruction
	relos map[string]map[int]*btf.CORERelocation
}

func newLinker(obj *object.Object, infos *btf.ExtInfos) *linker {
	l := &linker{
		obj: obj, code: make(map[string]*object.Code),
		lines: make(map[string][]*btf.Line), relos: make(map[string]map[int]*btf.CORERelocation),
	}
	for _, c := range obj.Code {
		if l.code[c.Section] != nil {
			continue
		}
		l.code[c.Section] = c
		_, lines, relos := infos.Section(c.Section)
		l.lines[c.Section] = make([]*btf.Line, len(c.Insns))
		for _, line := range lines {
			if int(line.Offset) < len(c.Insns) {
				l.lines[c.Section][line.Offset] = line.Line
			}
		}
		l.relos[c.Section] = make(map[int]*btf.CORERelocation, len(relos))
		for _, relo := range relos {
			l.relos[c.Section][int(relo.Offset)] = relo.Relo
		}
	}
	return l
}

// link returns a program with all that it needs, and callback, if there is one, last.
func (l *linker) link(program, callback *object.Function) (*code, error) {
	c := &code{
		refs: make(map[int]object.Ref), funcs: make(map[int]*btf.Func),
	}
	starts := make(map[*object.Function]int)
	if err := l.add(c, program, starts); err != nil {
		return nil, err
	}
	if _, called := starts[callback]; callback != nil && !called {
		if err := l.add(c, callback, starts); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// add appends a function, then those that it calls and that are not there yet.
func (l *linker) add(c *code, fn *object.Function, starts map[*object.Function]int) error {
	from := l.code[fn.Section]
	first, n := int(fn.Offset/insnSize), int(fn.Size/insnSize)
	if from == nil || first+n > len(from.Insns) || n == 0 {
		return fmt.Errorf("function %s has no instructions", fn.Name)
	}
	start := len(c.insns)
	starts[fn] = start
	c.parts = append(c.parts, part{fn, start})
	c.insns = append(c.insns, from.Insns[first:first+n]...)
	c.lines = append(c.lines, l.lines[fn.Section][first:first+n]...)
	l.describe(c, from, first, start, n)
	for i := range n {
		callee, err := l.callee(from, first+i)
		if err != nil {
			return fmt.Errorf("function %s, instruction %d: %w", fn.Name, i, err)
		}
		if callee == nil {
			continue
		}
		if _, there := starts[callee]; !there {
			if err := l.add(c, callee, starts); err != nil {
				return err
			}
		}
		at := start + i
		delete(c.refs, at)
		c.insns[at].Imm = int32(starts[callee] - at - 1)
		if c.insns[at].Op == opLoadImm {
			c.insns[at].Src = pseudoFunc
		}
	}
	return nil
}

// describe copies what is known of n instructions of a section from first on to those of
// the program from start on.
func (l *linker) describe(c *code, from *object.Code, first, start, n int) {
	for i := range n {
		if ref, ok := from.Refs[first+i]; ok {
			c.refs[start+i] = ref
		}
		if fn := from.Types[first+i]; fn != nil {
			c.funcs[start+i] = fn
		}
		if relo := l.relos[from.Section][first+i]; relo != nil {
			c.relos = append(c.relos, coreRelo{start + i, relo, from.Relos[first+i]})
		}
	}
}

// callee returns the function of the object that an instruction calls, or whose address
// it loads; nil if it does neither.
func (l *linker) callee(from *object.Code, at int) (*object.Function, error) {
	insn := from.Insns[at]
	ref, relocated := from.Refs[at]
	switch {
	case relocated && ref.Kind != object.RefFunction:
		return nil, nil
	case !relocated && (insn.Op != opCall || insn.Src != pseudoCall):
		return nil, nil
	case !relocated:
		ref = l.obj.FunctionAt(from.Section, at+1+int(insn.Imm))
	}
	fn := ref.Function
	switch {
	case insn.Op != opCall && insn.Op != opLoadImm:
		return nil, fmt.Errorf("it refers to function %s and is neither a call nor the load of an address", ref.Symbol)
	case fn == nil || ref.Offset != 0:
		return nil, errors.New("it calls what is no function, or the middle of one")
	case fn.Section != textSection:
		return nil, fmt.Errorf("it calls %s, which is a program in section %s: have both call a function that is in no section", fn.Name, fn.Section)
	}
	return fn, nil
}

const textSection = ".text"

// callbackTag begins the tag of a program that says which function is called when it
// throws an exception (bpf_prog_assign_exc_cb in tools/lib/bpf/libbpf.c).
const callbackTag = "exception_callback:"

// exceptionCallback returns the function that a program's exceptions call; nil if its
// tags name none, or several, which is for the verifier to refuse.
func exceptionCallback(obj *object.Object, program *object.Function) (*object.Function, error) {
	if program.Type == nil {
		return nil, nil
	}
	var names []string
	for _, tag := range program.Type.Tags {
		if name, ok := strings.CutPrefix(tag, callbackTag); ok {
			names = append(names, name)
		}
	}
	if len(names) != 1 {
		return nil, nil
	}
	for i := range obj.Functions {
		fn := &obj.Functions[i]
		if fn.Name != names[0] || fn.Section != textSection {
			continue
		}
		if fn.Static || fn.Hidden {
			return nil, fmt.Errorf("its exception callback %s is static or hidden: make it global", fn.Name)
		}
		return fn, nil
	}
	return nil, fmt.Errorf("its exception callback %q is no function of the object", names[0])
}
