package gen

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// exported makes an exported Go identifier of a C name: task_ctx becomes
// TaskCtx. Letter case within words stays, and no word is an initialism, so
// that the result depends on the name alone. Names in capitals stay as they
// are: CONFIG_HZ.
func exported(name string) string {
	if first, _ := firstRune(name); unicode.IsUpper(first) && strings.ToUpper(name) == name {
		return cIdent(name)
	}
	var b strings.Builder
	start := true
	for _, r := range name {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			start = true
			continue
		}
		if start {
			r = unicode.ToUpper(r)
		}
		b.WriteRune(r)
		start = false
	}
	id := b.String()
	if first, _ := firstRune(id); !unicode.IsUpper(first) {
		return "X" + id
	}
	return id
}

func firstRune(s string) (rune, bool) {
	for _, r := range s {
		return r, true
	}
	return 0, false
}

// cIdent makes a C name fit for the inside of a Go identifier.
func cIdent(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return '_'
	}, name)
}

// scope hands out identifiers, each once.
type scope struct {
	b     *builder
	taken map[string]string // by Go name: what has it
	last  map[string]int    // by Go name: the number that was last put behind it
	quiet bool              // nobody is told of numbers
}

func (b *builder) newScope(reserved ...string) *scope {
	s := &scope{b: b, taken: make(map[string]string), last: make(map[string]int)}
	for _, name := range reserved {
		s.taken[name] = "a name that every generated file has"
	}
	return s
}

// claim returns name, or name_2, name_3, ... if it is taken. What says what it
// is for. others are further ways in which the user can have chosen another
// name for it; see [Rename].
func (s *scope) claim(name, what string, others ...string) string {
	if chosen, ok := s.b.renames.name(what, s.b.ways(what, others...)); ok {
		return s.take(chosen, what)
	}
	free := s.free(name)
	if free != name && !s.quiet {
		s.b.warnf("%s is called %s in Go: %s is taken by %s (-rename %q names it)", what, free, name, s.taken[name], s.b.way(what)+"=NAME")
	}
	s.taken[free] = what
	return free
}

// claimed is something that a name is asked for.
type claimed struct {
	spelled string // in C
	name    string // in Go, if nothing else would have that
	what    string
	others  []string // see claim
}

// claimEach returns the names of several things. Those that C spells in different ways, and that would have
// one name, get the spelling behind it: a name stays with what it is of, also if another one
// goes, or they change places.
func (s *scope) claimEach(all []claimed) []string {
	alike := make(map[string][]claimed)
	for _, c := range all {
		isOther := func(o claimed) bool { return o.spelled == c.spelled }
		if !s.isChosen(c) && !slices.ContainsFunc(alike[c.name], isOther) {
			alike[c.name] = append(alike[c.name], c)
		}
	}
	names := make([]string, len(all))
	for i, c := range all {
		if len(alike[c.name]) > 1 {
			name := c.name + "_" + cIdent(c.spelled)
			s.warnOfAlike(c, name, alike[c.name])
			c.name = name
		}
		names[i] = s.claim(c.name, c.what, c.others...)
	}
	return names
}

// isChosen tells whether the user chose a name for something.
func (s *scope) isChosen(c claimed) bool { return s.b.renames.has(s.b.ways(c.what, c.others...)) }

// warnOfAlike says that something has a longer name, unless the user chose one.
func (s *scope) warnOfAlike(c claimed, name string, alike []claimed) {
	if s.isChosen(c) || s.quiet {
		return
	}
	for _, other := range alike {
		if other.spelled != c.spelled {
			s.b.warnf("%s is called %s in Go: %s would be %s, too (-rename %q names it)", c.what, name, other.what, c.name, s.b.way(c.what)+"=NAME")
			return
		}
	}
}

// take takes a name that the user chose, or notes that it cannot be had.
func (s *scope) take(name, what string) string {
	if other := s.taken[name]; other != "" {
		s.b.clashes = append(s.b.clashes, fmt.Errorf("-rename %q: %s is taken by %s; choose another name", s.b.way(what)+"="+name, name, other))
		name = s.free(name)
	}
	s.taken[name] = what
	return name
}

func (s *scope) free(name string) string {
	free, n := name, max(s.last[name], 1)
	for s.taken[free] != "" {
		n++
		free = fmt.Sprintf("%s_%d", name, n)
		s.last[name] = n
	}
	return free
}

// number is claim for names that only generated code uses.
func (s *scope) number(name, what string) string {
	name = s.free(name)
	s.taken[name] = what
	return name
}
