package cast

// This file reads what lines of C say of a pointer's type outright: that a
// variable is declared of a type and begins with the pointer, that it is cast
// to a type, that as much was allocated as a type takes. That names types of
// which the object has no definition, too: clang leaves out what only members
// point to.

import (
	"regexp"
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"
)

const typeName = `(?:const\s+|volatile\s+)*(?:struct\s+)?([A-Za-z_]\w*)\s*(?:__arena\s*|__kptr\s*)?`

var (
	declared  = regexp.MustCompile(`^\s*` + typeName + `\*\s*(?:__arena\s+)?\w+\s*=\s*([^;]*);`)
	allocated = regexp.MustCompile(`sizeof\s*\(\s*(?:struct\s+)?([A-Za-z_]\w*)\s*\)`)
	converted = regexp.MustCompile(`\(\s*` + typeName + `\*\s*\)\s*\(?\s*([\w.>\[\]-]+)`)
	lastName  = regexp.MustCompile(`([A-Za-z_]\w*)(?:\[[^\]]*\])?$`)
)

// spoken returns what the lines at the places of a kin say, if they say one
// thing.
func (e *engine) spoken(places []slot) btf.Type {
	var said btf.Type
	for _, s := range places {
		for _, t := range e.saidOf(s) {
			if said != nil && said != t {
				return nil
			}
			said = t
		}
	}
	return said
}

func (e *engine) saidOf(s slot) (types []btf.Type) {
	for _, name := range e.namesSaidOf(s) {
		if t := e.structNamed(name); t != nil {
			types = append(types, t)
		}
	}
	return types
}

// namesSaidOf returns the names of types, void left out, that lines say of a slot.
func (e *engine) namesSaidOf(s slot) (names []string) {
	add := func(name string) {
		if name != "" && name != "void" {
			names = append(names, name)
		}
	}
	if s.kind == result {
		add(e.saidOfResult(s))
	}
	for at := range e.loads[s] {
		add(saidOfLoad(at.line(), s))
	}
	return names
}

func (i instruction) line() string {
	if l := i.code.Line(i.at); l != nil {
		return l.Text
	}
	return ""
}

// structNamed returns the struct, declared or defined, or the typedef of one,
// of a name.
func (e *engine) structNamed(name string) btf.Type {
	if t := e.layouts.named(name); t != nil {
		return t
	}
	var def *btf.Typedef
	if name == "" || e.obj.Types.TypeByName(name, &def) != nil {
		return nil
	}
	if t := e.layouts.canonical(def); aggregateName(t) != "" {
		return t
	}
	return nil
}

// saidOfResult returns the name of the type that a line says of the result of
// the last call in it.
func (e *engine) saidOfResult(s slot) string {
	f := e.functions[functionKey(s.fn.Section, s.fn.Offset)]
	if f == nil {
		return ""
	}
	at := f.start + int(s.off)
	line := f.code.Line(at)
	if line == nil || f.code.Insns[at].Op != opCall {
		return ""
	}
	for next := at + 1; next < f.end; next++ {
		if l := f.code.Line(next); l == nil || l.Number != line.Number || l.File != line.File {
			break
		}
		if f.code.Insns[next].Op == opCall {
			return ""
		}
	}
	if sizes := allocated.FindAllStringSubmatch(line.Text, -1); len(sizes) == 1 {
		return sizes[0][1]
	}
	if m := declared.FindStringSubmatch(line.Text); m != nil && strings.HasSuffix(strings.TrimSpace(m[2]), ")") {
		return m[1]
	}
	return ""
}

// saidOfLoad returns the name of the type that a line says of what is loaded
// from a member.
func saidOfLoad(line string, s slot) string {
	name := memberOfSlot(s)
	if name == "" {
		return ""
	}
	ends := func(expr string) bool {
		if strings.Count(expr, "[") != strings.Count(expr, "]") || strings.Contains(expr, ",") {
			return false // it is what indexes something else, or several variables are declared
		}
		m := lastName.FindStringSubmatch(strings.TrimSpace(expr))
		return m != nil && m[1] == name
	}
	if m := declared.FindStringSubmatch(line); m != nil && ends(m[2]) {
		return m[1]
	}
	var said []string
	for _, m := range converted.FindAllStringSubmatch(line, -1) {
		if ends(m[2]) {
			said = append(said, m[1])
		}
	}
	if slices.Sort(said); len(slices.Compact(said)) == 1 {
		return said[0]
	}
	return ""
}

// memberOfSlot is the name of the member or variable that a slot is, without
// what it is a part of.
func memberOfSlot(s slot) string {
	if s.kind != field {
		return ""
	}
	path := strings.TrimRight(s.path(), "[]")
	return path[strings.LastIndexByte(path, '.')+1:]
}
