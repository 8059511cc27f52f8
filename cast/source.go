package cast

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/object"
)

// source is what an object says of itself, in its types, instructions and lines of C. It
// is found out once, most of it when it is asked for, and all analyses of the object share it.
type source struct {
	obj       *object.Object
	code      map[string]*object.Code // by section
	layouts   *layouts
	foreign   map[btf.Type]bool // types of the kernel's objects
	functions map[entryPoint]*function
	inOrder   []*function            // by section and offset
	inSection map[string][]*function // by start
	gaps      []string               // of functions: see newFunction

	addressed  map[*function]bool // their addresses are taken
	allocating map[*function]bool // may call for memory of no type
	called     map[*function]bool // by functions of the object

	kept     map[*function]bool // whether registers hold what the prototype says
	entered  map[*function]registersRead
	storedOf map[*function]map[int]btf.Type // by instruction: what parameters lead to that are stored

	candidates []*btf.Struct
	pointed    map[btf.Type]bool // types that there are pointers to
	holders    map[btf.Type][]memberHolder
	variables  map[string]*variable // of C, by name
	names      map[string]namedMembers
	addresses  map[string][]string // of members whose address a line of C takes
	declares   *bool               // structs that it does not define
	omits      *bool               // structs, of which lines of C tell
}

// entryPoint is where a function starts.
type entryPoint struct {
	section string
	offset  uint64 // bytes
}

func (p entryPoint) String() string { return fmt.Sprintf("%s+%d", p.section, p.offset) }

func entryOf(fn *object.Function) entryPoint { return entryPoint{fn.Section, fn.Offset} }

func newSource(obj *object.Object) *source {
	src := &source{
		obj:        obj,
		code:       make(map[string]*object.Code),
		layouts:    newLayouts(obj.Types),
		functions:  make(map[entryPoint]*function),
		inSection:  make(map[string][]*function),
		allocating: make(map[*function]bool),
		called:     make(map[*function]bool),
		addressed:  make(map[*function]bool),
		kept:       make(map[*function]bool),
		entered:    make(map[*function]registersRead),
		storedOf:   make(map[*function]map[int]btf.Type),
		holders:    make(map[btf.Type][]memberHolder),
		names:      make(map[string]namedMembers),
		addresses:  make(map[string][]string),
	}
	for _, c := range obj.Code {
		src.code[c.Section] = c
	}
	for i := range obj.Functions {
		fn := &obj.Functions[i]
		if c := src.code[fn.Section]; c != nil && fn.Size >= 8 {
			src.addFunction(fn, c)
		}
	}
	slices.SortFunc(src.inOrder, func(a, b *function) int { return compareFunctions(a.Function, b.Function) })
	for _, f := range src.inOrder {
		src.inSection[f.Section] = append(src.inSection[f.Section], f)
		src.findCallees(f)
	}
	src.findAllocating()
	src.foreign = foreignTypes(obj, src.layouts)
	return src
}

func (src *source) addFunction(fn *object.Function, c *object.Code) {
	f, gaps := newFunction(fn, c)
	src.gaps = append(src.gaps, gaps...)
	src.functions[entryOf(fn)] = f
	src.inOrder = append(src.inOrder, f)
}

// callee is a function that an instruction calls, or takes the address of.
type callee struct {
	at int
	fn *function
}

// findCallees finds the functions that the instructions of f name, and whether it calls for
// memory of no type.
func (src *source) findCallees(f *function) {
	for at := f.start; at < f.end; at += f.width(at) {
		if x := f.code.Refs[at].Extern; x != nil && f.code.Insns[at].Op == opCall && returnsRoom(x.Type) {
			f.asksForRoom = true
		}
		named, ok := f.names(at)
		fn := src.functions[named]
		if !ok || fn == nil {
			continue
		}
		f.callees = append(f.callees, callee{at, fn})
		switch f.code.Insns[at].Op {
		case opCall:
			src.called[fn] = true
		case opWide:
			src.addressed[fn] = true
		}
	}
}

// callee returns the function that an instruction names, nil if it names none.
func (f *function) callee(at int) *function {
	i, found := slices.BinarySearchFunc(f.callees, at, func(c callee, at int) int { return cmp.Compare(c.at, at) })
	if !found {
		return nil
	}
	return f.callees[i].fn
}

// names returns the start of the function that an instruction names, if it
// names one.
func (f *function) names(at int) (start entryPoint, ok bool) {
	insn := f.code.Insns[at]
	ref, isRef := f.code.Refs[at]
	switch {
	case isRef && ref.Kind == object.RefFunction:
		return entryOf(ref.Function), true
	case !isRef && insn.Op == opCall && insn.Src == pseudoCl:
		return entryPoint{f.code.Section, uint64(at+1+int(insn.Imm)) * 8}, true
	}
	return entryPoint{}, false
}

// findAllocating finds the functions that may call for memory of no type, themselves or
// in what they call.
func (src *source) findAllocating() {
	callers := make(map[*function][]*function)
	var queue []*function
	for _, f := range src.inOrder {
		for _, c := range f.callees {
			if f.code.Insns[c.at].Op == opCall {
				callers[c.fn] = append(callers[c.fn], f)
			}
		}
		if f.asksForRoom {
			queue = append(queue, f)
		}
	}
	for len(queue) > 0 {
		f := queue[0]
		queue = queue[1:]
		if !src.allocating[f] {
			src.allocating[f] = true
			queue = append(queue, callers[f]...)
		}
	}
}
