package gen

import (
	"go/token"

	"github.com/ktgen/ktgen/gen/internal/gofile"
)

// This file names the constants of enumerators. C has them all in one room, and so
// has Go: POLICY_EXT is called so, and a reader who knows the program finds it. Where
// that name is something else in the package, or is one that Go does not export, the
// type is in front: Policy_POLICY_EXT.

// inFull is the name of an enumerator with its type in front. Enumerators have it until
// nameEnumerators.
func inFull(t *gofile.Type, cName string) string { return t.Name + "_" + cIdent(cName) }

// nameEnumerators leaves the type out of the names of enumerators that are still unique
// without it.
func nameEnumerators(p *gofile.Package) {
	taken := takenNames(p)
	for _, t := range enumsOf(p) {
		for _, v := range t.Values {
			if v.Name == inFull(t, v.CName) {
				taken[cIdent(v.CName)]++
			}
		}
	}
	for _, m := range p.Models {
		for _, t := range m.Types {
			for _, values := range [][]gofile.Value{t.Values, t.Flags, t.Tags} {
				shorten(t, values, taken)
			}
		}
	}
}

func shorten(t *gofile.Type, values []gofile.Value, taken map[string]int) {
	for i := range values {
		v := &values[i]
		if short := cIdent(v.CName); v.Name == inFull(t, v.CName) && taken[short] == 1 && token.IsExported(short) {
			v.Name = short
		}
	}
}

// enumsOf are the enums of all objects, each once.
func enumsOf(p *gofile.Package) (enums []*gofile.Type) {
	seen := make(map[string]bool)
	for _, m := range p.Models {
		for _, t := range m.Types {
			if t.Kind == gofile.EnumType && !seen[t.Name] {
				seen[t.Name] = true
				enums = append(enums, t)
			}
		}
	}
	return enums
}

// takenNames counts the names that are declared, but for enumerators that have their
// type in front.
func takenNames(p *gofile.Package) map[string]int {
	taken := make(map[string]int)
	for _, m := range p.Models {
		for _, name := range []string{m.Snap(), m.Bind(), m.Open(), m.Fixture()} {
			taken[name]++
		}
		for _, s := range m.Sections {
			taken[s.TypeName]++
		}
		for _, t := range m.Types {
			taken[t.Name]++
		}
	}
	for _, t := range enumsOf(p) {
		for _, v := range t.Values {
			taken[v.Name]++
		}
	}
	return taken
}
