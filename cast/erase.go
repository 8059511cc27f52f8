package cast

// This file measures the analysis: it hides pointers that BTF does declare and
// looks which ones come back.

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"

	ktbtf "github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/runtime/ctype"
)

// Ruling is what became of the pointers that were erased. A pointer is
// recovered, too, if it is found to lead to the struct that the declared one
// begins with: what is only ever passed as a struct cpumask * may be that of a
// struct bpf_cpumask. Where a union declares several pointers, one of them, or
// a reported conflict, will do.
//
// A pointer is touched if an instruction loads it from memory or stores it
// there, the stack left out, or a helper does, and the analysis can tell which member that is:
// knowing all the types that BTF declares, or knowing only what it recovers. A pointer that is not
// found because what leads to its struct was not found either is missed, thus,
// and not untouched.
type Ruling struct {
	Recovered []Erased `json:"recovered"`
	Missed    []Erased `json:"missed"`    // touched by code, and not found
	Wrong     []Erased `json:"wrong"`     // found to be something else
	Spurious  []Erased `json:"spurious"`  // integers, never declared as pointers, that were found
	Untouched []Erased `json:"untouched"` // no instruction loads or stores them
}

// Erased is a place of the ruling.
type Erased struct {
	Container string `json:"container"` // "struct task_ctx", "section .bss", a map's name
	Path      string `json:"path"`
	Offset    uint32 `json:"offset"`           // bytes
	Was       string `json:"was,omitempty"`    // what BTF said it points to
	Found     string `json:"found,omitempty"`  // what the analysis says
	Class     string `json:"class,omitempty"`  // how sure it is of that
	Why       string `json:"why,omitempty"`    // it was missed
	Silent    bool   `json:"silent,omitempty"` // missed, and no instruction depends on what it points to, or the object only declares that
	Proof     string `json:"proof,omitempty"`  // a line of C that shows what was found: "file.bpf.c:12: c->task = p"
}

// Touched counts the erased pointers that the code touches.
func (r *Ruling) Touched() int { return len(r.Recovered) + len(r.Missed) + len(r.Wrong) }

// Recall is the share of erased pointers that were recovered, of those that
// the code touches; it is 1 if it touches none.
func (r *Ruling) Recall() float64 {
	if r.Touched() == 0 {
		return 1
	}
	return float64(len(r.Recovered)) / float64(r.Touched())
}

// Shown counts the touched pointers of which the object says anything but that
// they are copied. What is only declared, or never accessed, cannot be told.
func (r *Ruling) Shown() int {
	shown := r.Touched()
	for _, e := range r.Missed {
		if e.Silent {
			shown--
		}
	}
	return shown
}

// Rule turns every pointer of the program's own types and globals into a u64,
// analyses the unchanged instructions, and compares. Untyped pointers and
// pointers to functions are left alone. It changes the object's types: read
// it again for anything else.
func Rule(obj *object.Object, opts Options) *Ruling {
	l := newLayouts(obj.Types)
	own := ownTypes(obj, l)
	declared := newEngine(newSource(obj), opts)
	declared.touched = make(map[slot]bool)
	declared.run()
	eraser := eraser{
		layouts: l,
		word:    &btf.Int{Name: "unsigned long long", Size: 8},
		was:     make(map[slot][]btf.Type),
		seen:    make(map[btf.Type]bool),
		touched: declared.touched,
	}
	for t := range own {
		if t.TypeName() != "" {
			eraser.container(t)
		}
	}
	for i := range obj.Maps {
		eraser.mapValue(&obj.Maps[i])
	}
	e := newEngine(newSource(obj), opts)
	e.run()
	return eraser.compare(e.analysis(own))
}

// eraser hides pointers and remembers them.
type eraser struct {
	*layouts
	word *btf.Int
	was  map[slot][]btf.Type // canonical pointees: several, where a union declares several pointers
	seen map[btf.Type]bool

	touched map[slot]bool // while types were as declared
}

// container erases the pointers that have slots in a struct, union or section.
func (r *eraser) container(c btf.Type) {
	switch t := c.(type) {
	case *btf.Struct:
		r.members(c, 0, t, t.Members, "")
	case *btf.Union:
		r.members(c, 0, t, t.Members, "")
	case *btf.Datasec:
		for _, info := range t.Vars {
			if v, ok := info.Type.(*btf.Var); ok {
				v.Type = r.part(c, info.Offset, v.Type, v.Name)
			}
		}
	}
}

// members erases the members of an aggregate that lies at start in c.
func (r *eraser) members(c btf.Type, start uint32, aggregate btf.Type, members []btf.Member, path string) {
	if r.seen[aggregate] {
		return
	}
	r.seen[aggregate] = true
	for i := range members {
		m := &members[i]
		m.Type = r.part(c, start+uint32(m.Offset/8), m.Type, join(path, m.Name))
	}
}

// part returns the type at an offset, and path, of a container, erased.
func (r *eraser) part(c btf.Type, off uint32, t btf.Type, path string) btf.Type {
	switch u := btf.UnderlyingType(t).(type) {
	case *btf.Pointer:
		return r.pointer(slot{kind: field, typ: c, off: off, view: r.viewOf(c, off, path)}, t, u)
	case *btf.Array:
		if elem := r.part(c, off, u.Type, join(path, "[]")); elem != u.Type {
			return &btf.Array{Index: u.Index, Type: elem, Nelems: u.Nelems}
		}
	case *btf.Struct:
		if u.Name == "" {
			r.members(c, off, u, u.Members, path)
		}
	case *btf.Union:
		if u.Name == "" {
			r.members(c, off, u, u.Members, path)
		}
	}
	return t
}

// viewOf is the path of a member that others overlap, empty for any other.
func (r *eraser) viewOf(c btf.Type, off uint32, path string) string {
	for _, v := range r.views(c, newOffset(int64(off), 0)) {
		if v.path == path {
			return path
		}
	}
	return ""
}

// pointer returns u64 for a pointer to data, and t for any other.
func (r *eraser) pointer(s slot, t btf.Type, ptr *btf.Pointer) btf.Type {
	target, _, _ := r.pointee(ptr)
	if _, function := target.(*btf.FuncProto); function || target == nil {
		return t
	}
	if !slices.Contains(r.was[s], target) {
		r.was[s] = append(r.was[s], target)
	}
	return r.word
}

// mapValue erases a value that is a pointer, or a struct without a name.
func (r *eraser) mapValue(m *object.Map) {
	if m.Value == nil || isStructOpsMap(m) {
		return
	}
	switch t := btf.UnderlyingType(m.Value).(type) {
	case *btf.Pointer:
		m.Value = r.pointer(slot{kind: mapSlot, m: m}, m.Value, t)
	case *btf.Struct, *btf.Union:
		if t.TypeName() == "" {
			r.container(t)
		}
	}
}

// compare sorts the places into a ruling.
func (r *eraser) compare(a *Analysis) *Ruling {
	ruling := &Ruling{Recovered: []Erased{}, Missed: []Erased{}, Wrong: []Erased{}, Spurious: []Erased{}, Untouched: []Erased{}}
	for s, was := range r.was {
		r.judge(ruling, a, s, was)
	}
	for s := range a.seen() {
		if by, c := a.answer(s); c != nil && r.was[s] == nil && c.isFinding() && a.inQuestion(s) {
			ruling.Spurious = append(ruling.Spurious, by.found(s, c))
		}
	}
	for _, list := range [][]Erased{ruling.Recovered, ruling.Missed, ruling.Wrong, ruling.Spurious, ruling.Untouched} {
		slices.SortFunc(list, func(a, b Erased) int {
			return cmp.Or(cmp.Compare(a.Container, b.Container), cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Was, b.Was), cmp.Compare(a.Path, b.Path))
		})
	}
	return ruling
}

// found is a place with what was found of it.
func (a *Analysis) found(s slot, c *cell) Erased {
	place := Erased{
		Container: s.container(), Path: s.path(), Offset: s.off,
		Found: ktbtf.Spell(c.pointer().typ), Class: a.class(s, c).String(),
	}
	for _, ev := range a.finding(s, c).Evidence {
		if ev.Line != nil {
			place.Proof = ev.Line.String()
			break
		}
	}
	return place
}

// judge says what became of one pointer.
func (r *eraser) judge(ruling *Ruling, a *Analysis, s slot, was []btf.Type) {
	by, c := a.answer(s)
	if c != nil && c.isFinding() && !r.isOnStack(s, c) {
		place := by.found(s, c)
		place.Was = spellAll(was)
		if slices.ContainsFunc(was, func(t btf.Type) bool {
			meant := a.meant(typedPointer(r.canonical(t), ctype.SpaceUnknown)).typ
			return c.pointer().typ == meant || startsWith(meant, c.pointer().typ)
		}) {
			ruling.Recovered = append(ruling.Recovered, place)
		} else {
			ruling.Wrong = append(ruling.Wrong, place)
		}
		return
	}
	place := Erased{Container: s.container(), Path: s.path(), Offset: s.off, Was: spellAll(was)}
	switch {
	case c != nil && c.isMixed() && len(was) > 1:
		place.Found = "different things"
		ruling.Recovered = append(ruling.Recovered, place)
		return
	case c != nil && r.isOnStack(s, c):
		ruling.Untouched = append(ruling.Untouched, place)
		return
	case c != nil && (r.touched[s] || !c.isEmpty()):
		place.Why, place.Silent = a.whyMissed(s, c, was)
	case r.touched[s]:
		place.Why = "no access to it is seen: what leads to its struct was erased, too, and not recovered"
	default:
		ruling.Untouched = append(ruling.Untouched, place)
		return
	}
	ruling.Missed = append(ruling.Missed, place)
}

// isOnStack tells whether a place is only seen in structs on the stack, of which the ruler
// does not tell.
func (r *eraser) isOnStack(s slot, c *cell) bool { return c.boxed && !c.unboxed && !r.touched[s] }

// spellAll is how C spells the types that a place points to.
func spellAll(types []btf.Type) string {
	var names []string
	for _, t := range types {
		names = append(names, ktbtf.Spell(t))
	}
	slices.Sort(names)
	return strings.Join(names, " or ")
}

// whyMissed says why a pointer is not found; silent is that nothing shows it.
func (a *Analysis) whyMissed(s slot, c *cell, was []btf.Type) (why string, silent bool) {
	why = c.whyNot()
	if c.pointer().state != noPointer {
		return why, false
	}
	accesses := len(a.outlines()[a.kin.of(s)])
	if _, declared := was[0].(*btf.Fwd); declared {
		return why + "; the object only declares " + ktbtf.Spell(was[0]), true
	}
	if accesses == 0 {
		return why + "; nothing is accessed through it", true
	}
	return fmt.Sprintf("%s; %d instructions access what it points to, which fits no struct or several", why, accesses), false
}

// isEmpty tells whether nothing is known of a cell: an access may be to it, or to
// another place.
func (c *cell) isEmpty() bool {
	return c.stored == value{} && c.used.state == noPointer && c.hinted.state == noPointer
}

// whyNot says why nothing is found of a slot.
func (c *cell) whyNot() string {
	p := c.pointer()
	switch {
	case p.state == conflicting:
		return "it holds pointers to different things"
	case p.known() && c.stored.flags&isNumber != 0:
		return "it holds pointers and numbers"
	case c.mixed:
		return "it holds pointers to different things, or pointers and numbers"
	case c.loose:
		return "what is stored in it is from a place that holds different things"
	case p.known() && p.region == stackRegion:
		return "it holds pointers to the stack"
	case p.known():
		return "it holds pointers into the middle of something"
	case c.stored.flags&isNumber != 0:
		return "numbers are stored in it"
	case c.stored.flags&isOpaque != 0:
		return "what is stored in it cannot be followed, and its use shows no type"
	case c.stored.flags == isNull:
		return "only zero is stored in it, and its use shows no type"
	}
	return "nothing is stored in it, and its use shows no type"
}
