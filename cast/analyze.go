package cast

import (
	"cmp"
	"slices"

	"github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/runtime/ctype"
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

	// Behind is how many bytes of a header are in front of the target, if the
	// slot is one that holds pointers to such a header.
	Behind uint32

	Target   btf.Type // what it points to, without qualifiers and typedefs
	Space    ctype.Space
	Class    Class
	Evidence []Evidence // by section and instruction
}

// Class says how sure a finding is. Code is generated for what is proven or
// likely; a guess is for people.
type Class uint8

const (
	Proven  Class = iota // everything that the program stores there is such a pointer, or zero
	Likely               // some of what is stored there cannot be followed, or only its use, or lines of C that use it, show
	Guessed              // lines of C, or the shape of the accesses through it, name the only struct that it can be
)

func (c Class) String() string { return [...]string{"proven", "likely", "guessed"}[c] }

// EvidenceKind says what an instruction shows.
type EvidenceKind uint8

const (
	stored   EvidenceKind = iota // a pointer is stored in the slot
	used                         // what the slot held is used as a pointer
	accessed                     // what the slot held leads to something of that shape
)

func (k EvidenceKind) String() string { return [...]string{"stored", "used", "accessed"}[k] }

// Evidence is an instruction that shows what a slot holds.
type Evidence struct {
	Kind     EvidenceKind
	Function string
	Section  string
	Insn     int          // from the start of the section
	Line     *object.Line // of C, nil if not known
	What     string       // what is stored, or what it is used as: "struct task_struct * (kernel)"

	pointer bool  // it is a pointer
	spot    int64 // bytes from r10 to where it is copied from, if it is copied from the stack
}

// Result is what an analysis found.
type Result struct {
	Findings  []Finding  // by container, map and offset
	Conflicts []Conflict // slots that hold different things at different times
	Gaps      []string   // instructions and calls that were not followed, for a person
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
func Analyze(obj *object.Object) *Result { return Run(obj, Options{}).Result() }

// Analysis is an analysis that has been run. It answers what became of a place,
// found or not.
type Analysis struct {
	*engine
	own   map[btf.Type]bool
	alone *Analysis // of each function by itself; nil if that tells nothing more

	isAlone bool // it is such an analysis

	shown        map[int32]bool     // slots, by number; nil until it is asked for
	graph        *flowGraph         // that told them
	spacesByKin  map[int32]spaceSet // nil until they are asked for
	spacesByType map[btf.Type]spaceSet
}

// Run analyses an object.
func Run(obj *object.Object, opts Options) *Analysis {
	e := newEngine(newSource(obj), opts)
	e.run()
	return e.analysis(ownTypes(obj, e.layouts))
}

// inQuestion tells whether a slot is one that the analysis is about: of the
// program's own memory.
func (a *Analysis) inQuestion(s slot) bool {
	return s.object == 0 && (s.kind == mapSlot || s.kind == field && a.own[s.typ])
}

// Result returns what was found.
func (a *Analysis) Result() *Result {
	r := new(Result)
	for s := range a.seen() {
		by, c := a.answer(s)
		if c == nil || !a.inQuestion(s) {
			continue
		}
		if c.isMixed() {
			r.Conflicts = append(r.Conflicts, by.conflict(s, c))
		}
		if c.isFinding() {
			r.Findings = append(r.Findings, by.finding(s, c))
		}
	}
	r.Findings = append(r.Findings, a.payloads()...)
	for gap := range a.gaps {
		r.Gaps = append(r.Gaps, gap)
	}
	slices.Sort(r.Gaps)
	slices.SortFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(comparePlaces(a.Container, b.Container, a.Map, b.Map, a.Offset, b.Offset), cmp.Compare(a.Path, b.Path))
	})
	slices.SortFunc(r.Conflicts, func(a, b Conflict) int {
		return cmp.Or(comparePlaces(a.Container, b.Container, a.Map, b.Map, a.Offset, b.Offset), cmp.Compare(a.Path, b.Path))
	})
	return r
}

func (a *Analysis) finding(s slot, c *cell) Finding {
	ptr := c.pointer()
	proof := slices.DeleteFunc(a.proof(c), func(e Evidence) bool { return !e.pointer })
	return Finding{
		Container: s.typ, Map: s.m, Offset: s.off, Path: s.path(),
		Target: ptr.typ, Space: a.spaceOfCell(s, c), Class: a.class(s, c), Evidence: proof,
	}
}

func (a *Analysis) conflict(s slot, c *cell) Conflict {
	return Conflict{s.typ, s.m, s.off, s.path(), a.proof(c)}
}

// class says how sure a finding is.
func (a *Analysis) class(s slot, c *cell) Class {
	isLikely := c.isGuess() || c.stored.ptr.state == noPointer || c.stored.flags&isOpaque != 0 || c.boxed && !c.unboxed
	switch {
	case (a.pools[s] && !a.isTaken(s) || a.apart[s] && c.unknown) && !a.isSaid(s):
		return Guessed
	case !isLikely && !a.isAlone:
		return Proven
	case c.isGuess() && !a.isShown(s), a.isBelied(s, c.pointer().typ):
		return Guessed
	}
	return Likely
}

// isBelied tells whether lines of C, or the variables in them, say that a slot leads to a
// struct, and none says that it is t, or what t begins with.
func (a *Analysis) isBelied(s slot, t btf.Type) bool {
	belied := false
	for _, name := range slices.Concat(a.namesSaidOutright(s), a.namesOfVariables(s)) {
		said := a.structNamed(name)
		if said == t || startsWith(t, said) {
			return false
		}
		belied = belied || said != nil
	}
	return belied
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
