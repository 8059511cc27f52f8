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
	declared    = regexp.MustCompile(`^\s*` + typeName + `\*\s*(?:__arena\s+)?\w+\s*=\s*([^;]*);`)
	allocated   = regexp.MustCompile(`sizeof\s*\(\s*(?:struct\s+)?([A-Za-z_]\w*)\s*\)`)
	allocatedAs = regexp.MustCompile(`(?i:alloc|new|create|make)\w*\s*\(\s*struct\s+([A-Za-z_]\w*)\s*[,)]`)
	converted   = regexp.MustCompile(`\(\s*` + typeName + `\*\s*\)\s*(?:\(\s*([\w.>\[\]-]+)\s*\)|([\w.>\[\]-]+))`)
	declaredAs  = regexp.MustCompile(`^\s*(?:for\s*\(\s*)?` + typeName + `\*\s*(?:__arena\s+)?(\w+)\s*=[^=]`)
	castTo      = regexp.MustCompile(`^\s*(\w+)\s*=\s*\(\s*` + typeName + `\*\s*\)\s*[\w(*]`)
	throughName = regexp.MustCompile(`(?:^|[^\w.>\])]|[^-]>)\s*([A-Za-z_]\w*)\s*->\s*$`)
	assigned    = regexp.MustCompile(`^\s*(\w+)\s*=\s*([^=;][^;]*);`)
	kept        = regexp.MustCompile(`^\s*([\w.>\[\]&()-]+?)\s*=\s*(?:\(\s*\w+\s*\)\s*)?([A-Za-z_]\w*)\s*;`)
	readBy      = regexp.MustCompile(`^\s*(?:READ_ONCE|smp_load_acquire|__sync_lock_test_and_set|__sync_val_compare_and_swap|__atomic_load_n|__atomic_exchange_n)\s*\(\s*&?\s*([^,()]+)[^()]*\)\s*$`)
	lastName    = regexp.MustCompile(`([A-Za-z_]\w*)(?:\[[^\]]*\])?$`)
)

// spoken returns what the lines at the places of a kin say, if they say one
// thing. Variables say less: those of one name may be of several types, as most of
// their declarations are in no line. They tell what the object only declares.
func (e *engine) spoken(places []slot) (t btf.Type, said bool) {
	if t, said := e.oneSaid(places, e.namesOf(places)); said {
		return t, true
	}
	t, _ = e.oneSaid(places, e.namesOfVariables)
	if _, onlyDeclared := t.(*btf.Fwd); !onlyDeclared {
		return nil, false
	}
	return t, true
}

// oneSaid returns the only struct that is said of places, nil if the object does not
// know it; said is whether any is.
func (e *engine) oneSaid(places []slot, names func(slot) []string) (t btf.Type, said bool) {
	for _, s := range places {
		for _, name := range names(s) {
			other := e.structNamed(name)
			if said && t != other {
				return nil, true
			}
			t, said = other, true
		}
	}
	return t, said
}

// namesOf returns what tells the names of types that lines say of places that are kin:
// a size counts where nothing else is said, as it may be that of what a cache is for.
func (e *engine) namesOf(places []slot) func(slot) []string {
	if slices.ContainsFunc(places, func(s slot) bool { return len(e.namesSaidOutright(s)) > 0 }) {
		return e.namesSaidOutright
	}
	return e.namesSaidOf
}

// namesSaidOf returns the names of types, void left out, that lines say of a slot.
func (e *engine) namesSaidOf(s slot) []string {
	if names := e.namesSaidOutright(s); len(names) > 0 || s.kind != result {
		return names
	}
	if line := e.lineOfResult(s); line != "" {
		if sizes := allocated.FindAllStringSubmatch(line, -1); len(sizes) == 1 {
			return []string{sizes[0][1]}
		}
	}
	return nil
}

// namesSaidOutright is namesSaidOf without what the size of an allocation says.
func (e *engine) namesSaidOutright(s slot) (names []string) {
	add := func(name string) {
		if name != "" && name != "void" {
			names = append(names, name)
		}
	}
	if s.kind == result {
		add(saidOfResult(e.lineOfResult(s)))
	}
	if from, isLoad := e.loadedFrom[s]; isLoad {
		add(saidOfLoad(e.lineOf(s), from))
	}
	for at := range e.loads[s] {
		add(saidOfLoad(at.line(), s))
	}
	return names
}

// namesOfVariables returns the names of the types of the variables that lines store in
// a slot, or load from it.
func (e *engine) namesOfVariables(s slot) (names []string) {
	name := memberOfSlot(s)
	if name == "" || e.without(variables) {
		return nil
	}
	add := func(variable string, at instruction) {
		if typ := e.typeOfVariable(variable, at); typ != "" {
			names = append(names, typ)
		}
	}
	for at := range e.loads[s] {
		if m := assigned.FindStringSubmatch(at.line()); m != nil && isMember(m[2], name) {
			add(m[1], at)
		}
	}
	for at := range e.stores[s] {
		if m := kept.FindStringSubmatch(at.line()); m != nil && isMember(m[1], name) {
			add(m[2], at)
		}
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

// lineOf returns the line of C of the instruction that a result is of.
func (e *engine) lineOf(s slot) string {
	f := e.functions[entryOf(s.fn)]
	if f == nil {
		return ""
	}
	return instruction{f.code, f.start + int(s.off)}.line()
}

// lineOfResult returns the line of C of a call if that is the last one in it.
func (e *engine) lineOfResult(s slot) string {
	f := e.functions[entryOf(s.fn)]
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
	return line.Text
}

// saidOfResult returns the name of the type that a line says of the result of a call.
func saidOfResult(line string) string {
	if types := allocatedAs.FindAllStringSubmatch(line, -1); len(types) == 1 {
		return types[0][1]
	}
	if m := declared.FindStringSubmatch(line); m != nil && strings.HasSuffix(strings.TrimSpace(m[2]), ")") {
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
	if m := declared.FindStringSubmatch(line); m != nil && isMember(m[2], name) {
		return m[1]
	}
	var said []string
	for _, m := range converted.FindAllStringSubmatch(line, -1) {
		if isMember(m[2]+m[3], name) {
			said = append(said, m[1])
		}
	}
	if slices.Sort(said); len(slices.Compact(said)) == 1 {
		return said[0]
	}
	return ""
}

// isMember tells whether an expression is a member or variable of this name, perhaps
// of an array, perhaps read by a macro or an atomic.
func isMember(expr, name string) bool {
	if m := readBy.FindStringSubmatch(expr); m != nil {
		expr = m[1]
	}
	if strings.Count(expr, "[") != strings.Count(expr, "]") || strings.Contains(expr, ",") {
		return false // it is what indexes something else, or several variables are declared
	}
	m := lastName.FindStringSubmatch(strings.TrimSpace(expr))
	return m != nil && m[1] == name
}

// variable is what lines of C, and prototypes, declare of all variables of a name.
type variable struct {
	typ string               // the struct that they point to, empty if they differ
	in  map[*function]string // the same, of those in a function
}

// typeOfVariable returns the name of the struct that all variables of a name point to,
// if an instruction is in a function that declares one.
func (e *engine) typeOfVariable(name string, at instruction) string {
	v := e.variablesOf(name)
	if v == nil || v.in[e.functionAt(at.code.Section, at.at)] == "" {
		return ""
	}
	return v.typ
}

// typeOfAccess returns the name of the struct that the variable is declared, or cast, to
// lead to through which the line of an access reaches a member, if lines of the function
// say one thing of all variables of that name.
func (e *engine) typeOfAccess(at instruction) string {
	line := lineOfAccess(at.code, at.at)
	if line == nil || line.Column < 1 || line.Column > len(line.Text) || e.without(variables) {
		return ""
	}
	before := line.Text[:line.Column-1]
	if identifier.FindString(line.Text[line.Column-1:]) == "" {
		m := lastMember.FindStringIndex(before)
		if m == nil {
			return ""
		}
		before = before[:m[0]] + "->"
	}
	m := throughName.FindStringSubmatch(before)
	if m == nil {
		return ""
	}
	if v := e.variablesOf(m[1]); v != nil {
		return v.in[e.functionAt(at.code.Section, at.at)]
	}
	return ""
}

// variablesOf returns what is declared of all variables of a name, nil if nothing is.
func (e *engine) variablesOf(name string) *variable {
	if e.variables == nil {
		e.variables = e.declaredVariables()
	}
	return e.variables[name]
}

func (e *engine) declaredVariables() map[string]*variable {
	found := make(map[string]*variable)
	add := func(f *function, name, typ string) {
		v := found[name]
		if v == nil {
			v = &variable{typ: typ, in: make(map[*function]string)}
			found[name] = v
		}
		if v.typ != typ {
			v.typ = ""
		}
		if known, is := v.in[f]; is && known != typ {
			typ = ""
		}
		v.in[f] = typ
	}
	for section, c := range e.code {
		for i := range c.Lines {
			if text := c.Lines[i].Text; !strings.Contains(text, "*") || !strings.Contains(text, "=") {
				continue // neither of the two
			}
			if m := declaredAs.FindStringSubmatch(c.Lines[i].Text); m != nil {
				add(e.functionAt(section, c.Lines[i].Insn), m[2], m[1])
			}
			if m := castTo.FindStringSubmatch(c.Lines[i].Text); m != nil && m[2] != "void" {
				add(e.functionAt(section, c.Lines[i].Insn), m[1], m[2])
			}
		}
	}
	for _, f := range e.functions {
		if f.Type != nil {
			e.addParameters(f.Type, func(name, typ string) { add(f, name, typ) })
		}
	}
	return found
}

func (e *engine) addParameters(fn *btf.Func, add func(name, typ string)) {
	proto, ok := fn.Type.(*btf.FuncProto)
	if !ok {
		return
	}
	for _, p := range proto.Params {
		target, _, isPointer := e.layouts.pointee(p.Type)
		if !isPointer {
			add(p.Name, "")
			continue
		}
		add(p.Name, aggregateName(target))
	}
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
