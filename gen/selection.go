package gen

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"

	ktbtf "github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/gen/internal/gofile"
	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/nearest"
)

// This file finds what the user chose to have generated. Without a choice that
// is all that maps and sections reach.

// selectsAll tells whether the user chose nothing.
func (o *Options) selectsAll() bool { return len(o.Maps) == 0 && len(o.Types) == 0 }

// selectMaps returns the maps and sections that were chosen.
func (b *builder) selectMaps() (maps []*object.Map, sections []*object.Section, err error) {
	chosen := func(string) bool { return true }
	if !b.opts.selectsAll() {
		if chosen, err = b.patterns(); err != nil {
			return nil, nil, err
		}
	}
	for i := range b.obj.Maps {
		if m := &b.obj.Maps[i]; chosen(m.Name) {
			maps = append(maps, m)
		}
	}
	for i := range b.obj.Sections {
		if s := &b.obj.Sections[i]; chosen(s.Name) {
			sections = append(sections, s)
		}
	}
	return maps, sections, nil
}

// patterns returns the function that tells whether a name is among
// Options.Maps. Each of those has to choose something.
func (b *builder) patterns() (func(name string) bool, error) {
	var names []string
	for _, m := range b.obj.Maps {
		names = append(names, m.Name)
	}
	for _, s := range b.obj.Sections {
		names = append(names, s.Name)
	}
	for _, pattern := range b.opts.Maps {
		if _, err := path.Match(pattern, ""); err != nil {
			return nil, fmt.Errorf("-map %q: %w, as in \"stats_*\"", pattern, err)
		}
		if !slices.ContainsFunc(names, matches(pattern)) {
			b.missing["map "+pattern] = fmt.Errorf("-map %q: the object has no map or section of that name%s", pattern, near(pattern, names))
		}
	}
	return func(name string) bool {
		return slices.ContainsFunc(b.opts.Maps, func(pattern string) bool { return matches(pattern)(name) })
	}, nil
}

// matches returns the function that tells whether a pattern chooses a name.
func matches(pattern string) func(name string) bool {
	return func(name string) bool {
		ok, err := path.Match(pattern, name)
		return name == pattern || err == nil && ok
	}
}

// near is the end of a message about a name that is none of names.
func near(name string, names []string) string {
	switch advice := nearest.Advice(name, names); {
	case advice != "":
		return advice
	case len(names) == 0:
		return "; it has none"
	case len(names) > maxListed:
		return fmt.Sprintf("; it has %s, ... (%d)", strings.Join(names[:maxListed], ", "), len(names))
	}
	return "; it has " + strings.Join(names, ", ")
}

// maxListed bounds how many names a message lists.
const maxListed = 20

// chosenType is a type that was chosen by its name, or that programs are run with.
type chosenType struct {
	name    string
	shape   *ctype.Shape
	context bool // it is only that: no memory of the guest has one for tests to read
}

// selectTypes returns the shapes of the types that were chosen.
func (b *builder) selectTypes() (types []chosenType, err error) {
	for _, name := range b.opts.Types {
		t, err := b.typeNamed(name)
		if err != nil {
			return nil, fmt.Errorf("-type %q: %w", name, err)
		}
		if t == nil {
			b.missing["type "+name] = fmt.Errorf("-type %q: the object defines no such struct, union, enum or typedef%s", name, b.nearType(name))
			continue
		}
		s, err := b.shape(t)
		if err != nil {
			return nil, fmt.Errorf("-type %q: %w", name, err)
		}
		if !slices.ContainsFunc(types, func(c chosenType) bool { return c.shape == s }) {
			types = append(types, chosenType{name: ktbtf.Spell(t), shape: s})
		}
	}
	if b.opts.selectsAll() {
		return b.contexts()
	}
	return types, nil
}

// contexts returns the structs that tests run programs with, if Go has them as C has:
// without pointers, unions and bitfields.
func (b *builder) contexts() (types []chosenType, err error) {
	for i := range b.obj.Functions {
		f := &b.obj.Functions[i]
		t := f.Context()
		if !f.OnRequest() || t == nil || t.Name == "" {
			continue
		}
		s, err := b.shape(t)
		if err = damage(err); err != nil {
			return nil, fmt.Errorf("program %s: %w", f.Name, err)
		}
		if s != nil && isFlat(s) && !slices.ContainsFunc(types, func(c chosenType) bool { return c.shape == s }) {
			types = append(types, chosenType{name: ktbtf.Spell(t), shape: s, context: true})
		}
	}
	return types, nil
}

// isFlat tells whether a type consists of numbers alone.
func isFlat(s *ctype.Shape) bool {
	u := s.Underlying()
	if u == nil {
		return false
	}
	switch u.Kind {
	case ctype.KindArray:
		return isFlat(u.Elem)
	case ctype.KindStruct:
		return u.Size > 0 && !slices.ContainsFunc(u.Members, func(m ctype.Member) bool { return m.Bits != 0 || m.Name == "" || !isFlat(m.Type) })
	}
	return u.Kind == ctype.KindInt || u.Kind == ctype.KindBool || u.Kind == ctype.KindEnum
}

// typeNamed returns the struct, union, enum or typedef of that name, which can
// begin with what it is: "struct task_ctx". It is nil if there is none.
func (b *builder) typeNamed(name string) (btf.Type, error) {
	_, plain, spelled := strings.Cut(name, " ")
	if !spelled {
		plain = name
	}
	found, err := b.obj.Types.AnyTypesByName(plain)
	if err != nil {
		found = nil // there is none
	}
	found = slices.DeleteFunc(found, func(t btf.Type) bool {
		return !isSelectable(t) || spelled && ktbtf.Spell(t) != name
	})
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return nil, nil
	}
	var spellings []string
	for _, t := range found {
		spellings = append(spellings, ktbtf.Spell(t))
	}
	slices.Sort(spellings)
	if spelled || len(slices.Compact(slices.Clone(spellings))) < len(spellings) {
		return found[0], nil // the same name for the same thing, in objects that were linked
	}
	return nil, fmt.Errorf("it can be %s: say which", strings.Join(spellings, " or "))
}

func isSelectable(t btf.Type) bool {
	switch t.(type) {
	case *btf.Struct, *btf.Union, *btf.Enum, *btf.Typedef:
		return true
	}
	return false
}

func (b *builder) nearType(name string) string {
	if _, plain, spelled := strings.Cut(name, " "); spelled {
		name = plain
	}
	var names []string
	for t, err := range b.obj.Types.All() {
		if err != nil {
			break
		}
		if isSelectable(t) && t.TypeName() != "" {
			names = append(names, t.TypeName())
		}
	}
	if advice := nearest.Advice(name, names); advice != "" {
		return advice
	}
	return fmt.Sprintf("; it defines %d types (ktgen types %s prints them)", len(names), b.obj.Name)
}

// declareReaders declares accessors for values of the chosen types.
func (b *builder) declareReaders(accessors *scope) error {
	for _, c := range b.chosen {
		switch u := c.shape.Underlying(); u.Kind {
		case ctype.KindEnum:
			continue
		case ctype.KindStruct, ctype.KindUnion:
			if u.Size == 0 {
				continue
			}
			codec := b.codec(c.shape)
			if c.context {
				continue
			}
			b.model.Readers = append(b.model.Readers, &gofile.Reader{
				Name: accessors.claim(codec.Type.Name+"At", "the reader of "+c.name), CType: c.name, ID: b.valueID(c.shape), Value: codec,
			})
		default:
			return fmt.Errorf("-type %q: it is %s, which needs no type of its own in Go", c.name, ctype.Spell(u))
		}
	}
	return nil
}
