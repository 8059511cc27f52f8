package cast

// This file reads the lines of C that accesses come from: "e->weight++" at an
// access to byte 8 says that e has a member weight there. Which struct that is,
// BTF knows. That a compiler's line information says so is no proof, but where
// only one struct agrees with every line, it is hardly another.

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/object"
)

var memberName = regexp.MustCompile(`(?:->|\.)\s*([A-Za-z_]\w*)`)

var (
	identifier = regexp.MustCompile(`^[A-Za-z_]\w*`)
	lastMember = regexp.MustCompile(`(?:->|\.)\s*([A-Za-z_]\w*)\s*(?:\[[^\]]*\]\s*)*$`)
	postfix    = regexp.MustCompile(`^[A-Za-z_]\w*(?:\s*(?:->|\.)\s*\w+|\[[^\]]*\])*`)
	subscript  = regexp.MustCompile(`(?:->|\.)\s*(\w+)\[`)
	assignment = regexp.MustCompile(`^(?:=(?:[^=]|$)|(<<|>>|[-+*/%&|^])=|\+\+|--)`)
)

// lineOfAccess returns the line of C that a load or store comes from, nil if that is
// not known. Compilers leave out the lines of what they moved, so that it looks as if
// it were of the line before: several different accesses of one line and column are
// not all of these.
func lineOfAccess(code *object.Code, at int) *object.Line {
	line := code.Line(at)
	if line == nil {
		return nil
	}
	insn := code.Insns[at]
	for i := max(line.Insn, at-maxInherited); i < at; i++ {
		before := code.Insns[i]
		if isAccess(before) && (before.Off != insn.Off || accessSize(before.Op) != accessSize(insn.Op)) {
			return nil
		}
	}
	return line
}

// maxInherited bounds the instructions of one line and column that are looked at.
const maxInherited = 64

// isAccess tells whether an instruction loads from memory or stores there.
func isAccess(insn object.Insn) bool {
	class := insn.Op & classMask
	return class == classLdx || class == classSt || class == classStx
}

// accessedMember returns the member that a load or store accesses by its line of C,
// if the line's column says which: that of a name, or behind what is assigned to.
func accessedMember(code *object.Code, at int) string {
	line := lineOfAccess(code, at)
	if line == nil || line.Column < 1 || line.Column > len(line.Text) {
		return ""
	}
	before, from := line.Text[:line.Column-1], line.Text[line.Column-1:]
	class := code.Insns[at].Op & classMask
	if name := identifier.FindString(from); name != "" {
		before = strings.TrimRight(before, " \t")
		switch {
		case class != classLdx:
			return ""
		case strings.HasSuffix(before, "->") || strings.HasSuffix(before, "."):
			return name
		}
		return elementOf(from)
	}
	operator := assignment.FindString(from)
	if operator == "" || class == classLdx && operator[0] == '=' {
		return ""
	}
	if m := lastMember.FindStringSubmatch(before); m != nil {
		return m[1]
	}
	return ""
}

// elementOf returns the member that an expression takes an element of, if it does so
// once: clang puts the load of one at the start of the expression.
func elementOf(expr string) string {
	elements := subscript.FindAllStringSubmatch(postfix.FindString(expr), -1)
	if len(elements) != 1 {
		return ""
	}
	return elements[0][1]
}

// membersNamed returns the names of members in the line of C that an
// instruction comes from: those that it accesses one of, and those that it may.
func (e *engine) membersNamed(at instruction) namedMembers {
	line := lineOfAccess(at.code, at.at)
	if line == nil {
		return namedMembers{}
	}
	if name := accessedMember(at.code, at.at); name != "" {
		return namedMembers{once: []string{name}}
	}
	text := line.Text
	switch insn := at.code.Insns[at.at]; {
	case insn.Op&classMask == classLdx:
		text = withoutTarget(text)
	case storesPlainly(insn):
		text = targetOf(text)
	}
	names, ok := e.names[text]
	if !ok {
		names = namesIn(text)
		e.names[text] = names
	}
	return names
}

// storesPlainly tells whether an instruction stores, and is no atomic.
func storesPlainly(insn object.Insn) bool {
	return insn.Op&classMask == classSt || storesRegister(insn)
}

// assignmentIn is a plain assignment to a member or an element of one.
var assignmentIn = regexp.MustCompile(`^([^=]*?(?:->|\.)\s*)(\w+(?:\s*\[[^=\]]*\])?)\s*=([^=].*)?$`)

// targetOf returns the member that a line assigns to, all of the line if it does not.
func targetOf(line string) string {
	if m := assignmentIn.FindStringSubmatch(line); m != nil {
		return "->" + m[2]
	}
	return line
}

// withoutTarget returns a line without the member that it assigns to: what is loaded
// there is another one.
func withoutTarget(line string) string {
	if m := assignmentIn.FindStringSubmatch(line); m != nil {
		return strings.TrimRight(m[1], "->. \t") + " = " + m[3]
	}
	return line
}

// namedMembers are the members that a line names in one place only, and those in
// several: which pointer a->x = b->x reads through, its text does not say.
type namedMembers struct{ once, often []string }

func namesIn(line string) (names namedMembers) {
	times := make(map[string]int)
	for _, m := range memberName.FindAllStringSubmatch(line, -1) {
		times[m[1]]++
	}
	for _, name := range slices.Sorted(maps.Keys(times)) {
		if times[name] > 1 {
			names.often = append(names.often, name)
			continue
		}
		names.once = append(names.once, name)
	}
	return names
}

// agreement is how a struct agrees with the lines of an outline.
type agreement struct {
	typ    *btf.Struct
	told   map[int]bool   // traces whose line names the member that is there
	may    map[int]bool   // traces whose line names that in several places
	places map[int64]bool // their offsets
	denied int            // traces whose line names one member, which is another
	alien  bool           // one of these is no member of the struct at all
	fits   bool           // all accesses are to members
}

// named returns the struct whose members the lines of an outline name; told is
// whether they name any.
func (e *engine) named(o outline) (t btf.Type, told bool) {
	var all []agreement
	union := make(map[int]bool)
	for _, s := range e.candidates {
		a := e.agree(s, o)
		if len(a.told) == 0 {
			continue
		}
		all = append(all, a)
		for i := range a.told {
			union[i] = true
		}
	}
	all = slices.DeleteFunc(all, func(a agreement) bool {
		return !a.explains(union) || !e.enough(a, o)
	})
	if len(all) > 1 && slices.ContainsFunc(all, func(a agreement) bool { return a.fits }) {
		all = slices.DeleteFunc(all, func(a agreement) bool { return !a.fits })
	}
	all = slices.DeleteFunc(slices.Clone(all), func(a agreement) bool {
		return slices.ContainsFunc(all, func(b agreement) bool {
			return startsWith(a.typ, b.typ) || !o.indexed() && beginsWith(a.typ, b.typ, maxNesting)
		})
	})
	if len(all) != 1 {
		return nil, len(union) > 0
	}
	return all[0].typ, true
}

// indexed tells whether elements of an array are accessed.
func (o outline) indexed() bool {
	return slices.ContainsFunc(o, func(t trace) bool { return t.off.stride != 0 })
}

// explains tells whether the member that is there may be meant by each line.
func (a agreement) explains(told map[int]bool) bool {
	for i := range told {
		if !a.told[i] && !a.may[i] {
			return false
		}
	}
	return true
}

// enough tells whether agreement is no coincidence: of two members, or of one
// where the struct is one that there are pointers to, or that holds the
// pointer.
func (e *engine) enough(a agreement, o outline) bool {
	if len(a.places) >= 2 {
		return a.denied < len(a.told) && !a.alien
	}
	holds := slices.ContainsFunc(e.kin.slots, func(s slot) bool {
		return s.kind == field && s.typ == a.typ && e.kin.of(s) == o[0].kin
	})
	return a.fits && a.denied == 0 && (holds || e.pointed[a.typ] && !e.declaresMore() || !e.leavesOut())
}

// declaresMore tells whether the object declares structs that it does not define:
// one of these may have any member.
func (e *engine) declaresMore() bool {
	if e.declares == nil {
		found := false
		for t, err := range e.obj.Types.All() {
			if fwd, ok := t.(*btf.Fwd); err == nil && ok && !e.foreign[fwd] && e.layouts.canonical(fwd) == btf.Type(fwd) && e.pointed[fwd] {
				found = true
			}
		}
		e.declares = &found
	}
	return *e.declares
}

func (e *engine) agree(s *btf.Struct, o outline) agreement {
	a := agreement{typ: s, told: make(map[int]bool), may: make(map[int]bool), places: make(map[int64]bool), fits: true}
	for i, t := range o {
		isThere := func(name string) bool { return hasMemberAt(s, name, t.off, maxNesting) }
		names := e.membersNamed(t.at)
		_, ok := e.layouts.at(s, t.off, t.size)
		fits := ok || e.spans(s, t.access)
		a.fits = a.fits && fits
		switch {
		case fits && slices.ContainsFunc(names.once, isThere):
			a.told[i] = true
			a.places[t.off.base] = true
		case fits && slices.ContainsFunc(names.often, isThere):
			a.may[i] = true
		case len(names.once) == 1:
			a.denied++
			a.alien = a.alien || !hasMember(s, names.once[0], maxNesting)
		}
	}
	return a
}

// hasMember tells whether a member of t, or of what it holds by value, is called name.
func hasMember(t btf.Type, name string, depth int) bool {
	if depth == 0 {
		return false
	}
	var members []btf.Member
	switch t := btf.UnderlyingType(t).(type) {
	case *btf.Array:
		return hasMember(t.Type, name, depth-1)
	case *btf.Struct:
		members = t.Members
	case *btf.Union:
		members = t.Members
	}
	return slices.ContainsFunc(members, func(m btf.Member) bool {
		return m.Name == name || hasMember(m.Type, name, depth-1)
	})
}

// hasMemberAt tells whether a member of t, or of what it holds by value, is
// called name and holds the byte at an offset.
func hasMemberAt(t btf.Type, name string, off offset, depth int) bool {
	size, err := btf.Sizeof(t)
	if err != nil || depth == 0 || off == anyOffset {
		return false
	}
	at := off.base
	if off.stride != 0 && size > 0 && off.stride%uint64(size) == 0 {
		at = mod(at, uint64(size))
	}
	switch t := btf.UnderlyingType(t).(type) {
	case *btf.Array:
		n, err := btf.Sizeof(t.Type)
		return err == nil && n > 0 && hasMemberAt(t.Type, name, offset{base: mod(at, uint64(n))}, depth-1)
	case *btf.Struct:
		return anyMemberAt(t.Members, name, at, depth)
	case *btf.Union:
		return anyMemberAt(t.Members, name, at, depth)
	}
	return false
}

func anyMemberAt(members []btf.Member, name string, at int64, depth int) bool {
	for _, m := range members {
		start := int64(m.Offset / 8)
		n, err := btf.Sizeof(m.Type)
		if err != nil || at < start || n > 0 && at >= start+int64(n) {
			continue
		}
		if m.Name == name || hasMemberAt(m.Type, name, offset{base: at - start}, depth-1) {
			return true
		}
	}
	return false
}

// beginsWith tells whether a part lies at the start of t: as what it begins with, as
// an element of an array there, or as a member of a union.
func beginsWith(t, part btf.Type, depth int) bool {
	if depth == 0 {
		return false
	}
	var members []btf.Member
	switch t := btf.UnderlyingType(t).(type) {
	case *btf.Array:
		return btf.UnderlyingType(t.Type) == part || beginsWith(t.Type, part, depth-1)
	case *btf.Struct:
		members = t.Members
	case *btf.Union:
		members = t.Members
	}
	return slices.ContainsFunc(members, func(m btf.Member) bool {
		return m.Offset == 0 && (btf.UnderlyingType(m.Type) == part || beginsWith(m.Type, part, depth-1))
	})
}
