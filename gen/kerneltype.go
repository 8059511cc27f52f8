package gen

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/btf"

	ktbtf "github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
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
	roots := make(map[string]*kernelRoot)
	names := slices.Sorted(maps.Keys(b.prune.fwds))
	for len(names) > 0 {
		for _, name := range names {
			if b.types.defined[name] != nil {
				continue // a part of the program's own data: it is read as that
			}
			root, err := b.kernelType(name, fields)
			if err != nil {
				return err
			}
			roots[name] = root
		}
		b.copyKernel(roots)
		names = slices.DeleteFunc(slices.Sorted(maps.Keys(fields)), func(name string) bool {
			_, known := roots[name]
			return known || b.prune.fwds[name] == nil || b.types.defined[name] != nil
		})
	}
	for name := range fields {
		if b.prune.fwds[name] == nil {
			b.missFields(name, fields[name], fmt.Errorf("-fields %s: no pointer in the object's data leads to struct %s%s", name, name, nearest.BareAdvice(name, slices.Sorted(maps.Keys(b.prune.fwds)))))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b.kernel)) {
		b.types.collect(b.kernel[name], place{})
	}
	return nil
}

// copyKernel copies what is selected of types of the kernel.
func (b *builder) copyKernel(roots map[string]*kernelRoot) {
	c, chosen := newKernelCopy(b.prune), make(map[string]*ctype.Shape)
	names := slices.Sorted(maps.Keys(roots))
	for _, name := range names {
		if roots[name] != nil {
			chosen[name] = c.choose(roots[name])
		}
	}
	b.kernel = make(map[string]*ctype.Shape)
	for _, name := range names {
		if roots[name] != nil {
			b.kernel[name] = c.structure(chosen[name])
		}
	}
}

// kernelType returns what is generated of a type of the kernel, nil if that is
// nothing: if no object describes it, nobody reads any of its members, or package
// runtime has it. Where the object only declares it, that is the most that another one
// of the package reads: members are found by name, so that any will do.
func (b *builder) kernelType(name string, fields map[string]selection) (*kernelRoot, error) {
	if len(b.flavors(name)) > 0 {
		return b.kernelRoot(b.part, name, fields)
	}
	all := slices.DeleteFunc(slices.Clone(b.siblings), func(p *part) bool { return len(p.flavors(name)) == 0 })
	if len(all) == 0 {
		return b.kernelRoot(b.part, name, fields)
	}
	roots, shapes := make([]*kernelRoot, len(all)), make([]*ctype.Shape, len(all))
	best := 0
	for i, p := range all {
		root, err := b.kernelRoot(p, name, fields)
		if err != nil {
			return nil, err
		}
		if root == nil {
			continue
		}
		c := newKernelCopy(b.prune)
		if roots[i], shapes[i] = root, c.structure(c.choose(root)); shapes[best] == nil || len(shapes[i].Members) > len(shapes[best].Members) {
			best = i
		}
	}
	for i, other := range shapes {
		if left := leftOut(shapes[best], other); len(left) > 0 {
			b.warnf("struct %s is read as %s declares it, without what %s has: %s (declare the struct in this object, with what is to be read of it)", name, all[best].obj.Name, all[i].obj.Name, strings.Join(left, ", "))
		}
	}
	return roots[best], nil
}

// leftOut lists the members of a struct of the kernel that another declaration of
// it lacks, or has with another type.
func leftOut(chosen, other *ctype.Shape) (left []string) {
	if other == nil {
		return nil
	}
	for _, m := range other.Members {
		same := func(c ctype.Member) bool {
			return c.Name == m.Name && ctype.Spell(c.Type) == ctype.Spell(m.Type)
		}
		if !slices.ContainsFunc(chosen.Members, same) {
			left = append(left, ctype.Declare(m.Type, m.Name))
		}
	}
	return left
}

// kernelRoot is kernelType for what one object of the package knows of the type.
func (b *builder) kernelRoot(p *part, name string, fields map[string]selection) (*kernelRoot, error) {
	s, chosen := fields[name]
	whole, err := p.kernelShape(name)
	if whole == nil && err == nil && chosen {
		b.missFields(name, s, fmt.Errorf("-fields %s: the object's BTF declares struct %s and does not define it: read a member of it in the program", name, name))
	}
	if err != nil || whole == nil || whole.Size == 0 || whole.Size > maxGoValue || kernelStruct(whole) != "" {
		return nil, err
	}
	root := &kernelRoot{part: p, shape: whole, accessed: accessedBy(p.obj)}
	if chosen {
		root.some = b.present(ctype.Spell(whole), whole, s)
	} else {
		root.some = b.usual(whole, root.accessed)
	}
	if root.some != nil && len(root.some) == 0 {
		return nil, nil
	}
	return root, nil
}

// maxNesting bounds how deep types contain one another by value.
const maxNesting = 64

// definition is a struct or union, and the object of the package that defines it.
type definition struct {
	*part
	typ btf.Type
}

// shape is the definition's, with the casts of its object.
func (d *definition) shape() (*ctype.Shape, error) { return d.shapes.Of(d.typ) }

// definition returns the only struct or union of that name, or nil: the
// object's, or that of the other objects in the package, if these agree.
func (b *builder) definition(name string) *definition {
	if len(definitionsIn(b.obj, name)) == 0 {
		return b.siblingDefinition(name)
	}
	return b.only(name)
}

// only returns what a struct or union of that name is in an object, nil if it is
// several things. What the files of a linked object define alike is one.
func (p *part) only(name string) *definition {
	found := definitionsIn(p.obj, name)
	if len(found) == 0 {
		return nil
	}
	first := &definition{p, found[0]}
	for _, t := range found[1:] {
		if other := (&definition{p, t}); other.text() != first.text() {
			return nil
		}
	}
	return first
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
		if d := other.only(name); d != nil && other != b.part {
			all = append(all, d)
		}
	}
	return all
}

// siblingShape returns the shape of a struct of the program's that this object
// only declares and another one defines, nil if there is none.
func (b *builder) siblingShape(name string) *ctype.Shape {
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
	var w ctype.Writer
	w.Add(shape)
	return w.String()
}

// warnOnce is warnf for what can be met several times.
func (b *builder) warnOnce(format string, args ...any) {
	if w := fmt.Sprintf(format, args...); !slices.Contains(b.model.Warnings, w) {
		b.model.Warnings = append(b.model.Warnings, w)
	}
}

// definitionsIn returns the structs and unions of that name in an object.
func definitionsIn(obj *object.Object, name string) []btf.Type {
	types, err := obj.Types.AnyTypesByName(name)
	if err != nil {
		return nil // there is none
	}
	return slices.DeleteFunc(types, func(t btf.Type) bool { return !isAggregate(t) || t.TypeName() != name })
}

func isAggregate(t btf.Type) bool {
	switch t.(type) {
	case *btf.Struct, *btf.Union:
		return true
	}
	return false
}

// flavors returns the structs and unions of that name in an object, and those that
// are flavors of it behind them.
func (p *part) flavors(name string) []btf.Type {
	if p.byEssentialName == nil {
		p.byEssentialName = make(map[string][]btf.Type)
		for t, err := range p.obj.Types.All() {
			if err != nil {
				break // object.Read has parsed them
			}
			if isAggregate(t) {
				essential := ctype.EssentialName(t.TypeName())
				p.byEssentialName[essential] = append(p.byEssentialName[essential], t)
			}
		}
	}
	found := p.byEssentialName[name]
	slices.SortStableFunc(found, func(x, y btf.Type) int { return cmp.Compare(x.TypeName(), y.TypeName()) })
	return found
}

// usual is what is selected of a type where nobody has asked for anything.
func (b *builder) usual(s *ctype.Shape, accessed map[string]selection) selection {
	fields := s.Fields()
	if len(fields) <= maxWhole {
		return nil
	}
	some := maps.Clone(accessed[s.Name])
	if some == nil {
		some = make(selection)
	}
	for _, name := range ktsnap.KernelIdentity(s.Name) {
		if slices.ContainsFunc(fields, func(m ctype.Member) bool { return m.Name == name }) {
			some.add([]string{name})
		}
	}
	return some
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
				name := ctype.EssentialName(t.TypeName())
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
		if array, ok := btf.As[*btf.Array](t); ok {
			t = array.Type
			continue
		}
		members := ktbtf.Members(t)
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
func (b *builder) present(path string, s *ctype.Shape, chosen selection) selection {
	if chosen == nil {
		return nil
	}
	u := s.Underlying()
	for range maxNesting {
		if u.Kind != ctype.KindArray {
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
			b.missFields(path+"."+name, chosen[name], fmt.Errorf("-fields: %s has no member %s in the object's BTF%s", path, name, nearest.BareAdvice(name, names)))
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
