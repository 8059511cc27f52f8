package gen

import (
	"fmt"
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
	taken map[string]string // by Go name: what has it
	warn  func(format string, args ...any)
}

func newScope(warn func(string, ...any), reserved ...string) *scope {
	s := &scope{taken: make(map[string]string), warn: warn}
	for _, name := range reserved {
		s.taken[name] = "a name that every generated file has"
	}
	return s
}

// claim returns name, or name_2, name_3, ... if it is taken. what says what it
// is for.
func (s *scope) claim(name, what string) string {
	free := name
	for n := 2; s.taken[free] != ""; n++ {
		free = fmt.Sprintf("%s_%d", name, n)
	}
	if free != name {
		s.warn("%s is called %s in Go: %s is taken by %s", what, free, name, s.taken[name])
	}
	s.taken[free] = what
	return free
}
