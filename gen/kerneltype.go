package gen

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/btf"

	ktbtf "github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/nearest"
)

// This file generates the types of the kernel that the program's data points
// to. The object's BTF describes them as the program declares them, which is
// not where the guest's kernel has their members: these are found by name when
// the code is bound. So it is only the names and types of members that count
// here, and only of those that somebody reads.

// maxWhole is up to how many members a struct of the kernel is generated
// whole. Programs that declare one by hand list what they use; vmlinux.h has all
// of it.
const maxWhole = 48

// selection is which members of a type are generated: those it has, and of
// each those that are selected in turn. A nil selection is all of them.
type selection map[string]selection

// add selects the member at a path.
func (s selection) add(path []string) {
	for i, name := range path {
		next, exists := s[name]
		if exists && next == nil {
			return // all of it is selected
		}
		if i == len(path)-1 {
			s[name] = nil
			return
		}
		if !exists {
			next = make(selection)
			s[name] = next
		}
		s = next
	}
}

// kernelTypes decides on the types of the kernel that get members, and names
// them. The program's own data has been collected before.
func (b *builder) collectKernel() error {
	fields, err := parseFields(b.fieldOptions)
	if err != nil {
		return err
	}
	accessed := accessedBy(b.obj)
	b.kernel = make(map[string]*runtime.Shape)
	for _, name := range slices.Sorted(maps.Keys(b.prune.fwds)) {
		if b.types.defined[name] != nil {
			continue // a part of the program's own data: it is read as that
		}
		shape, err := b.kernelType(name, fields, accessed)
		if err != nil {
			return err
		}
		if shape != nil && kernelStruct(shape) == "" { // else package runtime has the type
			b.kernel[name] = shape
		}
	}
	for name := range fields {
		if b.prune.fwds[name] == nil {
			b.missFields(name, fields[name], fmt.Errorf("-fields %s: no pointer in the object's data leads to struct %s%s", name, name, didYouMean(name, slices.Sorted(maps.Keys(b.prune.fwds)))))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b.kernel)) {
		b.types.collect(b.kernel[name], place{})
	}
	return nil
}

// kernelType returns the shape of what is generated of a type of the kernel,
// nil if that is nothing: if no object describes it, or nobody reads any of its
// members. Where the object only declares it, that is the most that another one
// of the package reads: members are found by name, so that any will do.
func (b *builder) kernelType(name string, fields, accessed map[string]selection) (*runtime.Shape, error) {
	if own := definitionsIn(b.obj, name); len(own) > 0 {
		return b.kernelShape(b.only(own, name), name, fields, accessed)
	}
	all := b.siblingDefinitions(name)
	if len(all) == 0 {
		return b.kernelShape(nil, name, fields, accessed)
	}
	shapes := make([]*runtime.Shape, len(all))
	best := 0
	for i, d := range all {
		shape, err := b.kernelShape(d, name, fields, accessedBy(d.obj))
		if err != nil {
			return nil, err
		}
		if shapes[i] = shape; shape != nil && (shapes[best] == nil || len(shape.Members) > len(shapes[best].Members)) {
			best = i
		}
	}
	for i, other := range shapes {
		if left := leftOut(shapes[best], other); len(left) > 0 {
			b.warnf("struct %s is read as %s declares it, without what %s has: %s (declare the struct in this object, with what is to be read of it)", name, all[best].obj.Name, all[i].obj.Name, strings.Join(left, ", "))
		}
	}
	return shapes[best], nil
}

// leftOut lists the members of a struct of the kernel that another declaration of
// it lacks, or has with another type.
func leftOut(chosen, other *runtime.Shape) (left []string) {
	if other == nil {
		return nil
	}
	for _, m := range other.Members {
		same := func(c runtime.Member) bool {
			return c.Name == m.Name && runtime.CType(c.Type) == runtime.CType(m.Type)
		}
		if !slices.ContainsFunc(chosen.Members, same) {
			left = append(left, runtime.CDecl(m.Type, m.Name))
		}
	}
	return left
}

// kernelShape is kernelType for one definition, nil for none.
func (b *builder) kernelShape(d *definition, name string, fields, accessed map[string]selection) (*runtime.Shape, error) {
	s, chosen := fields[name]
	if d == nil {
		if chosen {
			b.missFields(name, s, fmt.Errorf("-fields %s: the object's BTF declares struct %s and does not define it: read a member of it in the program", name, name))
		}
		return nil, nil
	}
	whole, err := d.shape()
	if err != nil || whole.Size == 0 || whole.Size > maxGoValue || kernelStruct(whole) != "" {
		return nil, err
	}
	if chosen {
		s = b.present(runtime.CType(whole), whole, s)
	} else {
		s = b.usual(whole, accessed)
	}
	if s != nil && len(s) == 0 {
		return nil, nil
	}
	c := kernelCopy{accessed: accessed, prune: b.prune}
	return c.structure(whole, s, maxNesting), nil
}

// maxNesting bounds how deep types contain one another by value.
const maxNesting = 64

// definition is a struct or union, and the object of the package that defines it.
type definition struct {
	*part
	typ btf.Type
}

// shape is the definition's, with the casts of its object.
func (d *definition) shape() (*runtime.Shape, error) { return d.shapes.Of(d.typ) }

// definition returns the only struct or union of that name, or nil: the
// object's, or that of the other objects in the package, if these agree.
func (b *builder) definition(name string) *definition {
	if found := definitionsIn(b.obj, name); len(found) > 0 {
		return b.only(found, name)
	}
	return b.siblingDefinition(name)
}

// only returns the definition of that name if there is no other, and none of a
// flavor; else nil.
func (p *part) only(found []btf.Type, name string) *definition {
	if len(found) != 1 || found[0].TypeName() != name {
		return nil
	}
	return &definition{p, found[0]}
}

// siblingDefinition returns what the other objects of the package define as
// name. It is nil if they differ.
func (b *builder) siblingDefinition(name string) *definition {
	all := b.siblingDefinitions(name)
	if len(all) == 0 {
		return nil
	}
	for _, other := range all[1:] {
		if all[0].text() != other.text() {
			b.warnOnce("struct %s is declared and not read: %s and %s define it differently (rename it in one of them, or generate a package for each)", name, all[0].obj.Name, other.obj.Name)
			return nil
		}
	}
	return all[0]
}

func (b *builder) siblingDefinitions(name string) (all []*definition) {
	for _, other := range b.siblings {
		if d := other.only(definitionsIn(other.obj, name), name); d != nil && other != b.part {
			all = append(all, d)
		}
	}
	return all
}

// siblingShape returns the shape of a struct of the program's that this object
// only declares and another one defines, nil if there is none.
func (b *builder) siblingShape(name string) *runtime.Shape {
	if len(b.siblings) < 2 || b.isOfKernel(name) || len(definitionsIn(b.obj, name)) > 0 {
		return nil
	}
	d := b.siblingDefinition(name)
	if d == nil {
		return nil
	}
	shape, err := d.shape()
	if err != nil {
		return nil // the object that defines it says why
	}
	return shape
}

// isOfKernel tells whether any object of the package takes a type for the
// kernel's, or reads members of it by CO-RE.
func (b *builder) isOfKernel(name string) bool {
	return slices.ContainsFunc(b.siblings, func(p *part) bool { return p.kernels[name] || isRelocated(p.obj, name) })
}

// isRelocated tells whether instructions of an object find a type, or members of
// it, in the BTF of the kernel.
func isRelocated(obj *object.Object, name string) bool {
	for _, code := range obj.Code {
		for _, relo := range code.Relos {
			if relo.Kind != object.CORETypeIDLocal && relo.Type != nil && btf.UnderlyingType(relo.Type).TypeName() == name {
				return true
			}
		}
	}
	return false
}

// text describes a type with all that it holds by value.
func (d *definition) text() string {
	shape, err := ktbtf.NewShallowShapes(d.obj.Types).Of(d.typ)
	if err != nil {
		return err.Error()
	}
	var w runtime.ShapeWriter
	w.Add(shape)
	return w.String()
}

// warnOnce is warnf for what can be met several times.
func (b *builder) warnOnce(format string, args ...any) {
	if w := fmt.Sprintf(format, args...); !slices.Contains(b.model.Warnings, w) {
		b.model.Warnings = append(b.model.Warnings, w)
	}
}

// definitionsIn returns the structs and unions of that name, and of those that
// are flavors of it, in an object.
func definitionsIn(obj *object.Object, name string) []btf.Type {
	types, err := obj.Types.AnyTypesByName(name)
	if err != nil {
		return nil // there is none
	}
	return slices.DeleteFunc(types, func(t btf.Type) bool {
		switch t.(type) {
		case *btf.Struct, *btf.Union:
			return false
		}
		return true
	})
}

// usual is what is selected of a type where nobody has asked for anything.
func (b *builder) usual(s *runtime.Shape, accessed map[string]selection) selection {
	fields := s.Fields()
	if len(fields) <= maxWhole {
		return nil
	}
	some := maps.Clone(accessed[s.Name])
	if some == nil {
		some = make(selection)
	}
	for _, name := range runtime.KernelIdentity(s.Name) {
		if slices.ContainsFunc(fields, func(m runtime.Member) bool { return m.Name == name }) {
			some.add([]string{name})
		}
	}
	return some
}

// kernelCopy copies what is selected of types of the kernel. Pointers in the
// copy lead to declarations.
type kernelCopy struct {
	accessed map[string]selection
	prune    *pruner
}

// structure copies a struct. Its members are flat in the copy, but for flexible
// arrays: those are behind all others there.
func (c *kernelCopy) structure(s *runtime.Shape, chosen selection, depth int) *runtime.Shape {
	out, behind := *s, &runtime.Shape{Kind: runtime.KindUnion}
	out.Members = nil
	for _, m := range s.Fields() {
		sub, ok := chosen[m.Name]
		if chosen != nil && !ok {
			continue
		}
		end, isTail := m.Tail()
		switch m.Type = c.value(m.Type, sub, depth-1); {
		case m.Type == nil:
		case m.Type.IsFlexible() && isTail && end == 0:
			m.Offset = 0
			behind.Members = append(behind.Members, m)
		case !m.Type.IsFlexible():
			out.Members = append(out.Members, m)
		}
	}
	if len(behind.Members) > 0 {
		out.Members = append(out.Members, runtime.Member{Offset: out.Size, Type: behind})
	}
	return &out
}

// value copies the type of a member, nil if nothing of it is left.
func (c *kernelCopy) value(s *runtime.Shape, chosen selection, depth int) *runtime.Shape {
	u := s.Underlying()
	if u == nil || depth == 0 || u.Size == 0 && !u.IsFlexible() {
		return nil
	}
	switch u.Kind {
	case runtime.KindStruct, runtime.KindUnion:
		if chosen == nil && len(u.Fields()) > maxWhole {
			if chosen = c.accessed[u.Name]; len(chosen) == 0 {
				return nil
			}
		}
		copied := c.structure(u, chosen, depth)
		if len(copied.Members) == 0 {
			return nil
		}
		return copied
	case runtime.KindArray:
		elem := c.value(u.Elem, chosen, depth-1)
		if elem == nil {
			return nil
		}
		out := *u
		out.Elem = elem
		return &out
	case runtime.KindPointer:
		out := *u
		if out.Elem = u.Elem.Underlying(); out.Elem == nil {
			return nil
		}
		switch out.Elem.Kind {
		case runtime.KindStruct, runtime.KindUnion, runtime.KindFwd:
			out.Elem = c.prune.declared(targetName(u.Elem))
		case runtime.KindFunc:
		default:
			out.Elem = c.prune.declared("") // void
		}
		return &out
	}
	return c.prune.shape(s)
}

// accessedBy lists the members of each type that CO-RE relocations of an object
// name: those that instructions read.
func accessedBy(obj *object.Object) map[string]selection {
	all := make(map[string]selection)
	for _, code := range obj.Code {
		for _, relo := range code.Relos {
			if !relo.IsField() || relo.Type == nil {
				continue
			}
			t := btf.UnderlyingType(relo.Type)
			if path := accessPath(t, relo.Access); len(path) > 0 && t.TypeName() != "" {
				name := t.TypeName()
				if base, _, flavored := strings.Cut(name, "___"); flavored {
					name = base
				}
				if all[name] == nil {
					all[name] = make(selection)
				}
				all[name].add(path)
			}
		}
	}
	return all
}

// accessPath returns the names of the members that an access such as "0:1:2"
// goes through: the first number indexes t itself, others members or elements.
func accessPath(t btf.Type, access string) []string {
	var path []string
	for i, text := range strings.Split(access, ":") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return nil
		}
		if i == 0 {
			continue
		}
		var members []btf.Member
		switch u := btf.UnderlyingType(t).(type) {
		case *btf.Struct:
			members = u.Members
		case *btf.Union:
			members = u.Members
		case *btf.Array:
			t = u.Type
			continue
		}
		if n >= len(members) {
			return path
		}
		if members[n].Name != "" {
			path = append(path, members[n].Name)
		}
		t = members[n].Type
	}
	return path
}

// parseFields reads what -fields says: "task_struct:pid,comm,scx.slice" for each
// type, "task_struct:*" for all of its members.
func parseFields(options []string) (map[string]selection, error) {
	all := make(map[string]selection)
	for _, option := range options {
		name, list, ok := strings.Cut(option, ":")
		if !ok || name == "" || list == "" {
			return nil, fmt.Errorf("-fields %s: want a struct of the kernel and its members, such as task_struct:pid,comm,scx.slice", option)
		}
		for path := range strings.SplitSeq(list, ",") {
			if path == "*" {
				all[name] = nil
				continue
			}
			if s, exists := all[name]; exists && s == nil {
				continue
			}
			if all[name] == nil {
				all[name] = make(selection)
			}
			all[name].add(strings.Split(path, "."))
		}
	}
	return all, nil
}

// present returns what of a selection a type has, and notes what it lacks.
func (b *builder) present(path string, s *runtime.Shape, chosen selection) selection {
	if chosen == nil {
		return nil
	}
	u := s.Underlying()
	for range maxNesting {
		if u.Kind != runtime.KindArray {
			break
		}
		u = u.Elem.Underlying()
	}
	fields := u.Fields()
	var names []string
	for _, m := range fields {
		names = append(names, m.Name)
	}
	has := make(selection)
	for _, name := range slices.Sorted(maps.Keys(chosen)) {
		i := slices.Index(names, name)
		if i < 0 {
			b.missFields(path+"."+name, chosen[name], fmt.Errorf("-fields: %s has no member %s in the object's BTF%s", path, name, didYouMean(name, names)))
			continue
		}
		has[name] = b.present(path+"."+name, fields[i].Type, chosen[name])
	}
	return has
}

// missFields notes that the object lacks a type or member that was chosen, and
// what was chosen of it.
func (b *builder) missFields(path string, chosen selection, err error) {
	b.missing["fields "+strings.TrimPrefix(path, "struct ")] = err
	for name, more := range chosen {
		b.missFields(path+"."+name, more, err)
	}
}

// didYouMean returns "; did you mean x?" if a name is close to what was asked
// for.
func didYouMean(name string, names []string) string {
	if n := nearest.Name(name, names); n != "" {
		return fmt.Sprintf("; did you mean %s?", n)
	}
	return ""
}
