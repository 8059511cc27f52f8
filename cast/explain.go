package cast

// This file answers why a place was found to hold pointers, or was not.

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"

	ktbtf "github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/runtime/nearest"
)

// Explanation says what became of a place.
type Explanation struct {
	Place    string     // "struct task_ctx.task", ".bss.head", the name of a map
	Type     string     // of the place, as C spells it
	Finding  *Finding   // nil if there is none
	Why      string     // there is no finding
	Evidence []Evidence // all that is known to be stored there and to be done with it
}

// Explain says what became of a place: "task_ctx.task", "task_ctx.in.owner",
// "nodes[].next", ".bss.head", the name of a global variable or of a map. An array
// stands for its elements. The error names what there is instead, and what is in a
// struct or union.
func (a *Analysis) Explain(name string) (*Explanation, error) {
	container, path, m, err := a.find(name)
	if err != nil {
		return nil, err
	}
	f, path, err := placeIn(container, path)
	if err != nil {
		return nil, fmt.Errorf("explain %s: %w", name, err)
	}
	spelled := spellPlace(container, m, path)
	if isAggregate(f.Type) {
		return nil, whichMember(spelled, f.Type)
	}
	if f.Bits > 0 || !isCandidate(f.Type) {
		return &Explanation{Place: spelled, Type: spell(f.Type), Why: notInQuestion(f)}, nil
	}
	s := a.slotAt(container, path, f, m)
	x := &Explanation{Place: s.name(), Type: spell(f.Type)}
	by, c := a.answer(s)
	switch {
	case !a.inQuestion(s):
		x.Why = "the program does not lay it out: no map, section or pointer from one leads to it"
	case c == nil:
		x.Why = "no instruction is seen to read or write it"
	case c.isFinding():
		f := by.finding(s, c)
		x.Finding = &f
	default:
		x.Why = c.whyNot()
	}
	if c != nil {
		x.Evidence = by.proof(c)
	}
	return x, nil
}

func isAggregate(t btf.Type) bool {
	switch btf.UnderlyingType(t).(type) {
	case *btf.Struct, *btf.Union:
		return true
	}
	return false
}

// whichMember is the error for a place that has places in it.
func whichMember(place string, t btf.Type) error {
	names := ktbtf.MemberNames(t)
	if len(names) == 0 {
		return fmt.Errorf("explain %s: %s has no members", place, spell(t))
	}
	return fmt.Errorf("explain which member of %s? it has %s", place, strings.Join(names, ", "))
}

// spellPlace is how a place is called that no slot stands for.
func spellPlace(container btf.Type, m *object.Map, path string) string {
	name := strings.TrimPrefix(spell(container), "section ")
	if m != nil {
		name = "map " + m.Name
	}
	if path == "" || path[0] == '[' {
		return name + path
	}
	return name + "." + path
}

// notInQuestion says why no pointer can hide in a member.
func notInQuestion(f ktbtf.Field) string {
	if _, ok := btf.As[*btf.Pointer](f.Type); ok {
		return "its type says what it points to"
	}
	if f.Bits > 0 {
		return "it is a bitfield"
	}
	if n, err := btf.Sizeof(f.Type); err == nil && n < slotSize {
		return fmt.Sprintf("it is smaller than a pointer: %d of %d bytes", n, slotSize)
	}
	return "it is no integer of 8 bytes"
}

// name is a slot with what it is a part of: "struct task_ctx.task",
// ".bss.head".
func (s slot) name() string {
	if s.kind == mapSlot {
		return "map " + s.m.Name
	}
	return strings.TrimPrefix(s.container(), "section ") + "." + s.path()
}

// find splits the name of a place into the type or map it is in, and a path.
func (a *Analysis) find(name string) (container btf.Type, path string, m *object.Map, err error) {
	bare := strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(name, "struct "), "union "), "map ")
	for i := range a.obj.Sections {
		sec := &a.obj.Sections[i]
		if path, ok := strings.CutPrefix(bare, sec.Name+"."); ok && sec.Type != nil {
			return sec.Type, path, nil, nil
		}
	}
	first, rest, nested := strings.Cut(bare, ".")
	if m := a.obj.Map(first); m != nil && m.Value != nil {
		return m.Value, rest, m, nil
	}
	if t := a.container(first); t != nil && nested {
		return t, rest, nil, nil
	}
	variable, _, _ := strings.Cut(first, "[")
	for i := range a.obj.Sections {
		sec := &a.obj.Sections[i]
		if sec.Type != nil && slices.ContainsFunc(sec.Vars, func(v object.Var) bool { return v.Name == variable }) {
			return sec.Type, bare, nil, nil
		}
	}
	if t := a.container(first); t != nil {
		return nil, "", nil, whichMember(spell(t), t)
	}
	return nil, "", nil, a.noPlace(first)
}

// container returns the program's own type of a name, or any, or nil.
func (a *Analysis) container(name string) btf.Type {
	types, err := a.obj.Types.AnyTypesByName(name)
	if err != nil {
		return nil
	}
	var found btf.Type
	for _, t := range types {
		c := a.layouts.canonical(t)
		switch c.(type) {
		case *btf.Struct, *btf.Union:
			if found == nil || a.own[c] && !a.own[found] {
				found = c
			}
		}
	}
	return found
}

// noPlace is the error for a name that nothing has.
func (a *Analysis) noPlace(name string) error {
	var names []string
	for t := range a.own {
		if n := t.TypeName(); n != "" {
			names = append(names, n)
		}
	}
	for i := range a.obj.Maps {
		names = append(names, a.obj.Maps[i].Name)
	}
	for i := range a.obj.Sections {
		for _, v := range a.obj.Sections[i].Vars {
			names = append(names, v.Name)
		}
	}
	slices.Sort(names)
	hint := "the structs in maps and sections, their members, variables and maps have places"
	if near := nearest.Name(name, names); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	return fmt.Errorf("explain %s: %s has no struct, variable or map of that name; %s", name, a.obj.Name, hint)
}

// placeIn finds what is at a path, and spells that path: with [] behind each array,
// whether or not it was said, and whichever element.
func placeIn(container btf.Type, path string) (f ktbtf.Field, spelled string, err error) {
	f.Type = container
	spelled = elements(&f)
	for part := range strings.SplitSeq(path, ".") {
		if path == "" {
			break
		}
		next, err := fieldOf(f.Type, strings.ReplaceAll(part, "[]", "[0]"))
		if err != nil {
			return ktbtf.Field{}, "", err
		}
		next.Offset += f.Offset
		f = next
		name, _, _ := strings.Cut(part, "[")
		spelled = join(spelled, name) + strings.Repeat("[]", strings.Count(part, "["))
		spelled += elements(&f)
	}
	return f, spelled, nil
}

// elements turns an array into its first element, and returns a [] for each dimension.
func elements(f *ktbtf.Field) (brackets string) {
	for range maxNesting {
		array, ok := btf.As[*btf.Array](f.Type)
		if !ok {
			break
		}
		f.Type = array.Type
		brackets += "[]"
	}
	return brackets
}

// slotAt returns the slot of what is at a path.
func (a *Analysis) slotAt(container btf.Type, path string, f ktbtf.Field, m *object.Map) slot {
	canonical := a.layouts.canonical(container)
	there, ok := a.layouts.at(canonical, newOffset(int64(f.Offset), 0), slotSize)
	switch {
	case ok && !isScalar(there.container) || ok && isSection(there.container):
		return slot{kind: field, typ: there.container, off: there.off, view: a.viewNamed(canonical, int64(f.Offset), path)}
	case m != nil:
		return slot{kind: mapSlot, m: m, off: uint32(f.Offset)}
	}
	return slot{kind: field, typ: canonical, off: uint32(f.Offset)}
}

// viewNamed is the path, in its container, of the member that a path ends in, if
// others overlap it.
func (a *Analysis) viewNamed(t btf.Type, off int64, path string) string {
	path = strings.TrimRight(path, "0123456789[]")
	for _, v := range a.layouts.views(t, newOffset(off, 0)) {
		if v.isNamed(path[strings.LastIndexByte(path, '.')+1:]) {
			return v.path
		}
	}
	return ""
}

// fieldOf is [ktbtf.FieldOf] for sections, too.
func fieldOf(container btf.Type, path string) (ktbtf.Field, error) {
	section, ok := container.(*btf.Datasec)
	if !ok {
		return ktbtf.FieldOf(container, path)
	}
	// As members of a struct, variables are found like any.
	s := &btf.Struct{Name: section.Name, Size: section.Size}
	names := ktbtf.VarNames(section)
	for i, info := range section.Vars {
		if v, ok := info.Type.(*btf.Var); ok {
			s.Members = append(s.Members, btf.Member{Name: names[i], Type: v.Type, Offset: btf.Bits(info.Offset * 8)})
		}
	}
	return ktbtf.FieldOf(s, path)
}
