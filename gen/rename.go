package gen

import (
	"fmt"
	"go/token"
	"slices"
	"strings"

	"github.com/ktgen/ktgen/runtime/nearest"
)

// This file gives things the Go names that the user chose.

// Rename is a Go name that the user chose.
type Rename struct {
	// C says what gets the name: "task_ctx" or "struct task_ctx", "map stats",
	// ".bss", a member "task_ctx.weight", a variable ".bss.nr_tasks", an
	// enumerator "policy.POLICY_EXT", or the Go name that a type without a name
	// has otherwise. Of types that differ and share a name it is "task_ctx#2". Of the static variables of linked files that share a name it
	// is ".data.calls#2" or "lib.bpf.c:.data.calls". Of several objects all are meant, or one: "layered:task_ctx".
	C  string
	Go string
}

// ParseRename reads OLD=NEW.
func ParseRename(text string) (Rename, error) {
	c, name, ok := strings.Cut(text, "=")
	c, name = strings.TrimSpace(c), strings.TrimSpace(name)
	switch {
	case !ok || c == "":
		return Rename{}, fmt.Errorf("%q is not OLD=NEW, such as task_ctx=Task", text)
	case !token.IsIdentifier(name) || !token.IsExported(name):
		return Rename{}, fmt.Errorf("%q cannot be a name in Go that other packages see, such as %q", name, exported(name))
	}
	return Rename{c, name}, nil
}

func (r Rename) String() string { return r.C + "=" + r.Go }

// renamer hands out the chosen names, and knows which of them were wanted.
type renamer struct {
	chosen []Rename
	meant  [][]string // of each: what got the name
	known  []string   // everything that could have been meant
}

func newRenamer(chosen []Rename) *renamer {
	return &renamer{chosen: chosen, meant: make([][]string, len(chosen))}
}

// way is how messages name a thing of the object in a rename.
func (b *builder) way(what string) string {
	if b.prefix == "" {
		return what
	}
	return b.word + ":" + what
}

// ways are how a user can name a thing: as messages do, without the word that
// says of which kind it is, or in one of other ways; and all that with the
// object's name, if there are several.
func (b *builder) ways(what string, others ...string) []string {
	ways := append([]string{what}, others...)
	for _, kind := range []string{"struct ", "union ", "enum ", "map ", "section "} {
		if name, cut := strings.CutPrefix(what, kind); cut {
			ways = append(ways, name)
		}
	}
	if b.prefix != "" {
		for _, way := range slices.Clone(ways) {
			ways = append(ways, b.word+":"+way)
		}
	}
	return ways
}

// name returns the name that was chosen for a thing. What says which one it
// is, in the words of messages; ways are how the user can name it.
func (r *renamer) name(what string, ways []string) (name string, chosen bool) {
	r.known = append(r.known, ways...)
	for i, c := range r.chosen {
		if slices.Contains(ways, c.C) {
			if !slices.Contains(r.meant[i], what) {
				r.meant[i] = append(r.meant[i], what)
			}
			name, chosen = c.Go, true
		}
	}
	return name, chosen
}

// has tells whether a name was chosen for a thing.
func (r *renamer) has(ways []string) bool {
	return slices.ContainsFunc(r.chosen, func(c Rename) bool { return slices.Contains(ways, c.C) })
}

// check returns a [*ChoiceError] if a name was chosen for nothing, or for
// several things.
func (r *renamer) check() error {
	for i, c := range r.chosen {
		switch meant := r.meant[i]; {
		case len(meant) == 0:
			hint := "it is nothing that is generated: name a type, \"map NAME\", a section, or \"TYPE.MEMBER\""
			if near := nearest.Name(c.C, r.known); near != "" {
				hint = fmt.Sprintf("did you mean %q?", near)
			}
			return &ChoiceError{"rename", c.String(), fmt.Errorf("-rename %q: %s has no name to change; %s", c, c.C, hint)}
		}
	}
	return r.ambiguous()
}

// ambiguous returns a [*ChoiceError] if one name was chosen for several things.
func (r *renamer) ambiguous() error {
	for i, c := range r.chosen {
		if meant := r.meant[i]; len(meant) > 1 {
			err := fmt.Errorf("-rename %q: %s can be %s; say which, such as -rename %q", c, c.C, strings.Join(meant, " or "), meant[0]+"="+c.Go)
			return &ChoiceError{"rename", c.String(), err}
		}
	}
	return nil
}
