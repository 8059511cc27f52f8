package ktsnap

import (
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/internal/errtext"
)

// globals finds the variables of all global sections by name.
type globals struct {
	once     sync.Once
	sections []*mapReader
	byName   map[string][]variable
	names    []string // each once, in the order of the capture
}

// variable is a variable of a section.
type variable struct {
	section *mapReader
	member  ctype.Member
}

// load indexes the variables of a snapshot once.
func (g *globals) load(r *reader) {
	g.once.Do(func() {
		g.byName = make(map[string][]variable)
		for _, m := range r.all() {
			if isGlobal(m.m) {
				g.sections = append(g.sections, m)
				g.add(m)
			}
		}
	})
}

// isGlobal tells whether a map is one of the sections .bss, .data, .rodata,
// .kconfig and .addr_space, or one with such a name and a suffix: .data.tuning. A section without BTF is
// called by its map's name, to which libbpf adds the object's in front.
func isGlobal(m *Map) bool {
	if m.Type != MapTypeArray {
		return false
	}
	name := m.Name
	if m.Value != nil && m.Value.Kind == ctype.KindSection {
		name = m.Value.Name
	}
	dot := strings.IndexByte(name, '.')
	if dot < 0 {
		return false
	}
	for _, section := range [...]string{".bss", ".data", ".rodata", ".kconfig", ".addr_space"} {
		if rest, ok := strings.CutPrefix(name[dot:], section); ok && (rest == "" || rest[0] == '.') {
			return true
		}
	}
	return false
}

func (g *globals) add(section *mapReader) {
	shape, err := section.valueShape()
	if err != nil || shape == nil || shape.Kind != ctype.KindSection || section.N != 1 {
		return
	}
	for _, m := range shape.Members {
		if len(g.byName[m.Name]) == 0 {
			g.names = append(g.names, m.Name)
		}
		g.byName[m.Name] = append(g.byName[m.Name], variable{section, m})
		if plain := ctype.PlainName(m.Name); plain != m.Name {
			g.byName[plain] = append(g.byName[plain], variable{section, m})
		}
	}
}

// Var returns the global variable of that name; see [Snapshot.Var].
func (v View) Var(name string) Value {
	if err := v.Err(); err != nil {
		return noVar(name, err)
	}
	v.r.globals.load(v.r)
	found := v.vars(name)
	switch len(found) {
	case 1:
		return found[0].read()
	case 0:
		return noVar(name, v.noVariable(name))
	}
	ambiguous := &AmbiguousVarError{Requested: name}
	for _, f := range found {
		ambiguous.FoundIn = append(ambiguous.FoundIn, f.section.Name)
		ambiguous.MapIDs = append(ambiguous.MapIDs, f.section.id())
		ambiguous.Names = append(ambiguous.Names, f.member.Name)
	}
	return noVar(name, ambiguous)
}

// vars returns the variables of that name in the view.
func (v View) vars(name string) []variable {
	all := v.r.globals.byName[name]
	if v.ids == nil {
		return all
	}
	var chosen []variable
	for _, f := range all {
		if v.has(f.section) {
			chosen = append(chosen, f)
		}
	}
	return chosen
}

func noVar(name string, err error) Value {
	return Value{path: errtext.Clip(name), err: &Error{Op: "Var", Path: errtext.Clip(name), Err: err}}
}

// noVariable says why there is no variable: if a section is not there as a
// whole, that.
func (v View) noVariable(name string) error {
	var available []string
	for _, section := range v.r.globals.sections {
		if err := section.Incomplete(); err != nil && v.has(section) && section.mayHold(name) {
			return err
		}
	}
	for _, other := range v.r.globals.names {
		if len(v.vars(other)) > 0 {
			available = append(available, other)
		}
	}
	return &VarNotFoundError{Requested: errtext.Clip(name), Available: available}
}

// mayHold tells whether a section has a variable, as far as its type is known.
func (m *mapReader) mayHold(name string) bool {
	s := m.m.Value
	return s == nil || s.Kind != ctype.KindSection || slices.ContainsFunc(s.Members, func(m ctype.Member) bool { return m.Name == name || ctype.PlainName(m.Name) == name })
}

// has tells whether a map is part of the view.
func (v View) has(m *mapReader) bool { return v.ids == nil || slices.Contains(v.ids, m.id()) }

// Read returns the variable.
func (f variable) read() Value {
	section := f.section.view().At(0)
	v := section.value()
	if v.err != nil {
		return v
	}
	v.path = f.member.Name
	if strings.ContainsAny(v.path, ".[]") {
		v.path = "[" + strconv.Quote(v.path) + "]"
	}
	v.enter(&f.member)
	return v
}
