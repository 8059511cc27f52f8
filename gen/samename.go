package gen

import (
	"path"
	"strings"

	"github.com/ktgen/ktgen/runtime/ctype"
)

// This file names the static variables of linked objects that share a name in C.

// sameNamed is one of them.
type sameNamed struct {
	plain string // in C
	unit  string // its C file; empty if the object does not say
	name  string // in Go: Calls_Stats for that of stats.bpf.c; numbered if the files do not tell all of them apart
}

// sameNamed returns the variables of a section that share a name, by the numbered
// one.
func (s sectionShape) sameNamed() map[string]sameNamed {
	units := make(map[int]string, len(s.Vars)) // by offset
	for _, v := range s.Vars {
		units[int(v.Offset)] = v.Unit
	}
	times := make(map[string]int) // of a Go name that has the unit in it
	same := make(map[string]sameNamed)
	for _, v := range s.shape.Members {
		if plain := ctype.PlainName(v.Name); plain != v.Name {
			one := sameNamed{plain: plain, unit: units[v.Offset]}
			one.name = exported(plain) + "_" + unitWord(one.unit)
			times[one.name]++
			same[v.Name] = one
		}
	}
	numbered := make(map[string]bool) // by C name
	for _, one := range same {
		numbered[one.plain] = numbered[one.plain] || one.unit == "" || times[one.name] > 1
	}
	for number, one := range same {
		if numbered[one.plain] {
			one.name = exported(one.plain) + "_" + strings.TrimPrefix(number, one.plain+"#")
			same[number] = one
		}
	}
	return same
}

// unitWord is the Go name of a C file: Stats of stats.bpf.c.
func unitWord(unit string) string {
	if unit == "" {
		return ""
	}
	return exported(strings.TrimSuffix(strings.TrimSuffix(unit, path.Ext(unit)), ".bpf"))
}

func ofUnit(unit string) string {
	if unit == "" {
		return ""
	}
	return " of " + unit
}
