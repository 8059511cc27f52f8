package cast

import (
	"cmp"
	"slices"

	"github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/object"
)

// Finding says that a slot holds pointers.
type Finding struct {
	// Container is the struct, union or data section that the slot is in, the
	// innermost one with a name; Map is set instead where a map's value is no
	// struct.
	Container btf.Type
	Map       *object.Map
	Offset    uint32 // bytes into Container, or the map's value; of the first element of arrays
	Path      string // member path as C spells it: "task", "nodes[].next"

	Target   btf.Type // what it points to, without qualifiers and typedefs
	Space    Space
	Class    Class
	Evidence []Evidence // by section and instruction
}

// Class says how sure a finding is. Code is generated for what is proven or
// likely; a guess is for people.
type Class uint8

const (
	Proven  Class = iota // everything that the program stores there is such a pointer, or zero
	Likely               // some of what is stored there cannot be followed, or nothing is and only its use shows
	Guessed              // only one struct of the program's has the shape that accesses through it show
)

func (c Class) String() string { return [...]string{"proven", "likely", "guessed"}[c] }

// EvidenceKind says what an instruction shows.
type EvidenceKind uint8

const (
	Stored   EvidenceKind = iota // a pointer is stored in the slot
	Used                         // what the slot held is used as a pointer
	Accessed                     // what the slot held leads to something of that shape
)

func (k EvidenceKind) String() string { return [...]string{"stored", "used", "accessed"}[k] }

// Evidence is an instruction that shows what a slot holds.
type Evidence struct {
	Kind     EvidenceKind
	Function string
	Section  string
	Insn     int          // from the start of the section
	Line     *object.Line // of C, nil if not known
}

// Result is what an analysis found.
type Result struct {
	Findings  []Finding  // by container, map and offset
	Conflicts []Conflict // slots that hold different things at different times
	Gaps      []string   // what was given up on, for a person
}

// Conflict is a slot that holds pointers to different things, or pointers and
// numbers.
type Conflict struct {
	Container btf.Type
	Map       *object.Map
	Offset    uint32
	Path      string
	Evidence  []Evidence
}

// Analyze finds the integers of an object that hold pointers.
func Analyze(obj *object.Object) *Result {
	e := newEngine(obj)
	e.run()
	r := new(Result)
	own := ownTypes(obj, e.layouts)
	for s, c := range e.cells {
		if s.kind == mapSlot || s.kind == field && own[s.typ] {
			r.add(e, s, c)
		}
	}
	for gap := range e.gaps {
		r.Gaps = append(r.Gaps, gap)
	}
	slices.Sort(r.Gaps)
	slices.SortFunc(r.Findings, func(a, b Finding) int {
		return comparePlaces(a.Container, b.Container, a.Map, b.Map, a.Offset, b.Offset)
	})
	slices.SortFunc(r.Conflicts, func(a, b Conflict) int {
		return comparePlaces(a.Container, b.Container, a.Map, b.Map, a.Offset, b.Offset)
	})
	return r
}

// add judges one slot.
func (r *Result) add(e *engine, s slot, c *cell) {
	ptr := c.pointer()
	if c.isMixed() {
		r.Conflicts = append(r.Conflicts, Conflict{s.typ, s.m, s.off, s.path(), e.proof(c)})
	}
	if !c.isFinding() {
		return
	}
	r.Findings = append(r.Findings, Finding{s.typ, s.m, s.off, s.path(), ptr.typ, ptr.space, c.class(), e.proof(c)})
}

// class says how sure a finding is.
func (c *cell) class() Class {
	switch {
	case c.shaped || c.stored.flags&isGuess != 0:
		return Guessed
	case c.stored.ptr.state == noPointer || c.stored.flags&isOpaque != 0:
		return Likely
	}
	return Proven
}

// proof is the evidence for a slot, with the lines of C.
func (e *engine) proof(c *cell) []Evidence {
	code := make(map[string]*object.Code)
	for _, c := range e.obj.Code {
		code[c.Section] = c
	}
	proof := make([]Evidence, 0, len(c.evidence))
	for _, ev := range c.evidence {
		ev.Line = code[ev.Section].Line(ev.Insn)
		proof = append(proof, ev)
	}
	slices.SortFunc(proof, func(a, b Evidence) int {
		return cmp.Or(cmp.Compare(a.Section, b.Section), cmp.Compare(a.Insn, b.Insn))
	})
	return proof
}

func comparePlaces(at, bt btf.Type, am, bm *object.Map, a, b uint32) int {
	return cmp.Or(cmp.Compare(nameOf(at, am), nameOf(bt, bm)), cmp.Compare(a, b))
}

func nameOf(t btf.Type, m *object.Map) string {
	if m != nil {
		return m.Name
	}
	return t.TypeName()
}

func compareFunctions(a, b *object.Function) int {
	return cmp.Or(cmp.Compare(a.Section, b.Section), cmp.Compare(a.Offset, b.Offset))
}
