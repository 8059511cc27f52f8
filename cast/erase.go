package cast

// This file measures the analysis: it hides pointers that BTF does declare and
// looks which ones come back.

import (
	"cmp"
	"slices"

	"github.com/cilium/ebpf/btf"

	ktbtf "github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/object"
)

// Ruling is what became of the pointers that were erased.
type Ruling struct {
	Recovered []Erased `json:"recovered"`
	Missed    []Erased `json:"missed"`    // touched by code, and not found
	Wrong     []Erased `json:"wrong"`     // found to be something else
	Spurious  []Erased `json:"spurious"`  // integers, never declared as pointers, that were found
	Untouched []Erased `json:"untouched"` // no instruction reads or writes them
}

// Erased is a place of the ruling.
type Erased struct {
	Container string `json:"container"` // "struct task_ctx", "section .bss", a map's name
	Path      string `json:"path"`
	Offset    uint32 `json:"offset"`          // bytes
	Was       string `json:"was,omitempty"`   // what BTF said it points to
	Found     string `json:"found,omitempty"` // what the analysis says
	Why       string `json:"why,omitempty"`   // it was missed
}

// Recall is the share of erased pointers that were recovered, of those that
// the code touches; it is 1 if it touches none.
func (r *Ruling) Recall() float64 {
	touched := len(r.Recovered) + len(r.Missed) + len(r.Wrong)
	if touched == 0 {
		return 1
	}
	return float64(len(r.Recovered)) / float64(touched)
}

// Rule turns every pointer of the program's own types and globals into a u64,
// analyses the unchanged instructions, and compares. Untyped pointers and
// pointers to functions are left alone. It changes the object's types: read
// it again for anything else.
func Rule(obj *object.Object) *Ruling {
	l := newLayouts(obj.Types)
	own := ownTypes(obj, l)
	eraser := eraser{
		layouts: l,
		word:    &btf.Int{Name: "unsigned long long", Size: 8},
		was:     make(map[slot]btf.Type),
		seen:    make(map[btf.Type]bool),
	}
	for t := range own {
		if t.TypeName() != "" {
			eraser.container(t)
		}
	}
	for i := range obj.Maps {
		eraser.mapValue(&obj.Maps[i])
	}
	e := newEngine(obj)
	e.run()
	return eraser.compare(e, own)
}

// eraser hides pointers and remembers them.
type eraser struct {
	*layouts
	word *btf.Int
	was  map[slot]btf.Type // canonical pointees
	seen map[btf.Type]bool
}

// container erases the pointers that have slots in a struct, union or section.
func (r *eraser) container(c btf.Type) {
	switch t := c.(type) {
	case *btf.Struct:
		r.members(c, 0, t, t.Members)
	case *btf.Union:
		r.members(c, 0, t, t.Members)
	case *btf.Datasec:
		for _, info := range t.Vars {
			if v, ok := info.Type.(*btf.Var); ok {
				v.Type = r.part(c, info.Offset, v.Type)
			}
		}
	}
}

// members erases the members of an aggregate that lies at start in c.
func (r *eraser) members(c btf.Type, start uint32, aggregate btf.Type, members []btf.Member) {
	if r.seen[aggregate] {
		return
	}
	r.seen[aggregate] = true
	for i := range members {
		m := &members[i]
		m.Type = r.part(c, start+uint32(m.Offset/8), m.Type)
	}
}

// part returns the type at an offset of a container, erased.
func (r *eraser) part(c btf.Type, off uint32, t btf.Type) btf.Type {
	switch u := btf.UnderlyingType(t).(type) {
	case *btf.Pointer:
		return r.pointer(slot{kind: field, typ: c, off: off}, t, u)
	case *btf.Array:
		if elem := r.part(c, off, u.Type); elem != u.Type {
			return &btf.Array{Index: u.Index, Type: elem, Nelems: u.Nelems}
		}
	case *btf.Struct:
		if u.Name == "" {
			r.members(c, off, u, u.Members)
		}
	case *btf.Union:
		if u.Name == "" {
			r.members(c, off, u, u.Members)
		}
	}
	return t
}

// pointer returns u64 for a pointer to data, and t for any other.
func (r *eraser) pointer(s slot, t btf.Type, ptr *btf.Pointer) btf.Type {
	target, _, _ := r.pointee(ptr)
	if _, function := target.(*btf.FuncProto); function || target == nil {
		return t
	}
	r.was[s] = target
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
func (r *eraser) compare(e *engine, own map[btf.Type]bool) *Ruling {
	ruling := new(Ruling)
	for s, was := range r.was {
		r.judge(ruling, e.cells[s], s, was)
	}
	for s, c := range e.cells {
		if r.was[s] == nil && c.isFinding() && (s.kind == mapSlot || s.kind == field && own[s.typ]) {
			ruling.Spurious = append(ruling.Spurious, Erased{
				Container: s.container(), Path: s.path(), Offset: s.off, Found: ktbtf.Spell(c.pointer().typ),
			})
		}
	}
	for _, list := range [][]Erased{ruling.Recovered, ruling.Missed, ruling.Wrong, ruling.Spurious, ruling.Untouched} {
		slices.SortFunc(list, func(a, b Erased) int {
			return cmp.Or(cmp.Compare(a.Container, b.Container), cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Was, b.Was))
		})
	}
	return ruling
}

// judge says what became of one pointer.
func (r *eraser) judge(ruling *Ruling, c *cell, s slot, was btf.Type) {
	place := Erased{Container: s.container(), Path: s.path(), Offset: s.off, Was: ktbtf.Spell(was)}
	switch {
	case c == nil:
		ruling.Untouched = append(ruling.Untouched, place)
	case !c.isFinding():
		place.Why = c.whyNot()
		ruling.Missed = append(ruling.Missed, place)
	case r.canonical(c.pointer().typ) == r.canonical(was):
		place.Found = ktbtf.Spell(c.pointer().typ)
		ruling.Recovered = append(ruling.Recovered, place)
	default:
		place.Found = ktbtf.Spell(c.pointer().typ)
		ruling.Wrong = append(ruling.Wrong, place)
	}
}

// whyNot says why nothing is found of a slot.
func (c *cell) whyNot() string {
	p := c.pointer()
	switch {
	case p.state == conflicting:
		return "it holds pointers to different things"
	case p.known() && c.stored.flags&isNumber != 0:
		return "it holds pointers and numbers"
	case p.known() && p.region == stack:
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
