package ctype

import (
	"fmt"
	"slices"
	"strings"
)

// This file tells variables of one name apart. Static variables of the objects
// that a linker has joined keep their names, and are in one section.

// TellApart numbers the variables of a section that share a name, in the order
// of the section: calls#1, calls#2. A guest's BTF has nothing else to tell them
// apart by. Names that are numbered already, and those of other shapes, stay.
func (s *Shape) TellApart() {
	if s.Kind != KindSection {
		return
	}
	same := make(map[string]int, len(s.Members))
	for _, m := range s.Members {
		same[m.Name]++
	}
	last := make(map[string]int)
	for i := range s.Members {
		if m := &s.Members[i]; same[m.Name] > 1 {
			name := m.Name
			last[name]++
			m.Name = fmt.Sprintf("%s#%d", name, last[name])
		}
	}
}

// PlainName is the name of a variable in C, which several can have: calls of
// calls#2.
func PlainName(variable string) string {
	name, number, ok := strings.Cut(variable, "#")
	if !ok || number == "" || strings.Trim(number, "0123456789") != "" {
		return variable
	}
	return name
}

// SameNamed returns which of names are variables that are called name in C.
func SameNamed(name string, names []string) []string {
	var same []string
	for _, n := range names {
		if n != name && PlainName(n) == name && !slices.Contains(same, n) {
			same = append(same, n)
		}
	}
	return same
}

// SameNamed is how many variables of a section are called name in C.
func (s *Shape) SameNamed(name string) (n int) {
	for _, m := range s.Members {
		if PlainName(m.Name) == name {
			n++
		}
	}
	return n
}
