package gen

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/ktgen/ktgen/gen/internal/gofile"
	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/runtime/ctype"
)

// This file gives Go names to the types of an object.

// decl is a C type that becomes a Go declaration.
type decl struct {
	shape  *ctype.Shape // struct, union, enum or forward declaration
	cName  string       // tag or typedef; empty if anonymous
	parent *decl        // anonymous: the struct it is a member of; nil for a map or variable
	member string       // anonymous: exported name of the member, map or variable
	name   string       // Go
	number int          // among types of one C name that differ, from 1; 0 for the only one

	payload string // what is behind the header that it is, as C spells it; empty if it is none

	kernels bool // see isKernels
}

// describe says in C what d is, for messages.
func (d *decl) describe() string {
	if d.cName == "" {
		return "the type of " + d.member
	}
	if d.number > 0 {
		return fmt.Sprintf("%s#%d", d.plain(), d.number)
	}
	return d.plain()
}

// plain is the C name of a type that has one.
func (d *decl) plain() string {
	if d.shape.Name == "" {
		return d.cName
	}
	if d.payload != "" {
		return ctype.Spell(d.shape) + " of " + d.payload
	}
	return ctype.Spell(d.shape)
}

// goName is the name that d has unless the user chose another one. Allocations of
// one header differ in what is behind it.
func (d *decl) goName() string {
	if d.payload == "" {
		return exported(d.cName)
	}
	return exported(d.cName) + "Of" + exported(d.payload[strings.LastIndexByte(d.payload, ' ')+1:])
}

// number numbers types that differ and have one name in C, so that a user can say
// which one is meant.
func number(decls []*decl) {
	alike := make(map[string][]*decl)
	for _, d := range decls {
		key := d.plain() + " " + d.payload
		alike[key] = append(alike[key], d)
	}
	for _, same := range alike {
		for i, d := range same {
			if len(same) > 1 {
				d.number = i + 1
			}
		}
	}
}

// typeNames collects declarations in the order in which they are met.
type typeNames struct {
	decls   []*decl
	byShape map[*ctype.Shape]*decl
	defined map[string]*decl      // named structs and unions
	seen    map[*ctype.Shape]bool // typedefs, arrays and pointers
}

func newTypeNames() typeNames {
	return typeNames{
		byShape: make(map[*ctype.Shape]*decl),
		defined: make(map[string]*decl),
		seen:    make(map[*ctype.Shape]bool),
	}
}

// place is where a type is used, for naming it if it has no name.
type place struct {
	parent *decl
	member string
}

// collect finds everything below s that needs a declaration.
func (t *typeNames) collect(s *ctype.Shape, at place) {
	left := []use{{s, at, ""}} // the next one is the last
	for len(left) > 0 {
		last := len(left) - 1
		uses := t.visit(left[last])
		slices.Reverse(uses)
		left = append(left[:last], uses...)
	}
}

// use is one use of a type.
type use struct {
	shape   *ctype.Shape
	at      place
	typedef string // that named it last
}

// visit declares the type of a use and returns the uses in it.
func (t *typeNames) visit(u use) []use {
	switch s := u.shape; s.Kind {
	case ctype.KindTypedef, ctype.KindArray, ctype.KindPointer:
		if t.seen[s] {
			return nil
		}
		t.seen[s] = true
		return []use{{s.Elem, u.at, s.Name}} // only typedefs have names
	case ctype.KindEnum, ctype.KindFwd:
		t.declare(u)
	case ctype.KindStruct, ctype.KindUnion:
		if kernelStruct(s) != "" {
			return nil
		}
		if d, isNew := t.declare(u); isNew {
			return members(s, d)
		}
	}
	return nil
}

// members are the uses of types by the fields of a struct.
func members(s *ctype.Shape, d *decl) []use {
	var uses []use
	for _, f := range s.Fields() {
		uses = append(uses, use{f.Type, place{d, exported(f.Name)}, ""})
	}
	return uses
}

func (t *typeNames) declare(u use) (d *decl, isNew bool) {
	if d := t.byShape[u.shape]; d != nil {
		return d, false
	}
	d = &decl{shape: u.shape, cName: cmp.Or(u.shape.Name, u.typedef), parent: u.at.parent, member: u.at.member}
	t.byShape[u.shape] = d
	t.decls = append(t.decls, d)
	if payload, ok := u.shape.Payload(); ok {
		d.payload = ctype.Spell(payload.Type)
		return d, true // nothing that is only declared
	}
	if u.shape.Kind == ctype.KindStruct || u.shape.Kind == ctype.KindUnion {
		t.defined[u.shape.Name] = d
	}
	return d, true
}

// name gives every type and accessor its name. Types with a C name come first,
// by name, so that a name does not depend on where a type is used.
func (b *builder) name() error {
	for _, m := range b.maps {
		at := exported(m.Name)
		a, _ := access(m)
		if m.key != nil && a != gofile.AccessTrie {
			b.types.collect(m.key, place{member: at + "Key"})
			b.noteKey(m.key)
		}
		if m.value != nil && a.HasValue() {
			b.types.collect(m.value, place{member: at + "Value"})
		}
	}
	for _, s := range b.sections {
		for _, v := range s.shape.Members {
			b.types.collect(v.Type, place{member: exported(v.Name)})
		}
	}
	for _, c := range b.chosen {
		b.types.collect(c.shape, place{member: exported(c.name)})
	}
	if err := b.collectObjects(); err != nil {
		return err
	}
	if err := b.collectKernel(); err != nil {
		return err
	}
	b.nameSections()
	b.nameTypes()
	return nil
}

// noteKey notes the structs that a key consists of.
func (b *builder) noteKey(key *ctype.Shape) {
	u := key.Underlying()
	for u.Kind == ctype.KindArray {
		u = u.Elem.Underlying()
	}
	if b.inKeys[u] {
		return
	}
	b.inKeys[u] = true
	for _, m := range u.Members {
		b.noteKey(m.Type)
	}
}

// sectionName is the Go name of a section. That of an arena's variables is not
// called after its address space, and not like the arena.
func sectionName(s *object.Section) string {
	if s.Kind == object.Arena {
		return "ArenaGlobals"
	}
	return exported(s.Name)
}

// nameSections reserves the names of section structs.
func (b *builder) nameSections() {
	for _, s := range b.sections {
		what := "section " + s.Name
		name := ""
		if b.prefix == "" {
			name = b.scope.claim(sectionName(s.Section), what)
		} else if chosen, ok := b.renames.name(what, b.ways(what)); ok {
			name = b.scope.take(b.prefix+chosen, what)
		} else {
			name = b.scope.number(b.prefix+sectionName(s.Section), what)
		}
		b.model.Sections = append(b.model.Sections, &gofile.Section{TypeName: name, CName: s.Name, ID: "section" + name})
	}
}

func (b *builder) nameTypes() {
	named, anonymous := []*decl{}, []*decl{}
	for _, d := range b.types.decls {
		switch {
		case d.shape.Kind == ctype.KindFwd && b.types.defined[d.cName] != nil:
			continue // the definition stands for it
		case d.cName == "":
			anonymous = append(anonymous, d)
		default:
			named = append(named, d)
		}
	}
	slices.SortStableFunc(named, func(a, b *decl) int {
		return cmp.Or(cmp.Compare(a.cName, b.cName), cmp.Compare(a.shape.Kind, b.shape.Kind), cmp.Compare(a.payload, b.payload))
	})
	number(named)
	// Chosen names come first: nothing else is to take them.
	slices.SortStableFunc(named, func(x, y *decl) int {
		return cmp.Compare(b.renamedRank(y), b.renamedRank(x))
	})
	for _, d := range named {
		d.name = b.scope.claim(b.own(d.goName(), d.describe()), d.describe(), d.others()...)
	}
	for _, d := range anonymous {
		name := d.member
		if d.parent != nil {
			name = d.parent.name + d.member
		}
		d.name = b.scope.claim(b.own(name, d.describe()), d.describe(), name)
	}
}

// others are ways to name a type that do not say which of several is meant.
func (d *decl) others() []string {
	if d.number == 0 {
		return nil
	}
	return []string{d.plain(), d.cName}
}

// renamedRank orders types: 1 for those that the user chose a name for, else 0.
func (b *builder) renamedRank(d *decl) int {
	if b.renames.has(b.ways(d.describe())) {
		return 1
	}
	return 0
}

// declOf returns the declaration that stands for a struct, union, enum or
// forward declaration.
func (b *builder) declOf(s *ctype.Shape) *decl {
	d := b.types.byShape[s]
	if d.name == "" && s.Kind == ctype.KindFwd {
		return b.types.defined[d.cName]
	}
	return d
}
