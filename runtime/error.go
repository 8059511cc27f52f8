package runtime

import (
	"fmt"
	"strings"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/internal/errtext"
	"github.com/ktgen/ktgen/runtime/internal/fixture"
)

// UntrackedError says that a Go pointer does not point into a value that was read
// through a snapshot's accessors.
type UntrackedError struct{ Type string }

func (e *UntrackedError) Error() string {
	return fmt.Sprintf("this %s does not point into a value of this snapshot: pass the pointer that At, Get, Find or a section returned, or a pointer to a field of it; copies and the values of All have no place in the guest", e.Type)
}

// LayoutError says that generated code does not fit the program in the guest.
type LayoutError struct {
	Object      string // file name of the object that code was generated from
	Package     string // of the generated code
	Differences []ctype.Difference
}

func (e *LayoutError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "the program in the guest is not the %s that package %s was generated from:", e.Object, e.Package)
	for i, d := range e.Differences {
		if i == errtext.MaxListed {
			fmt.Fprintf(&b, "\n\tand %d more", len(e.Differences)-i)
			break
		}
		fmt.Fprintf(&b, "\n\t%s: generated %s, the guest has %s", d.Path, d.Want, d.Have)
	}
	fmt.Fprintf(&b, "\nregenerate from the object that the guest runs: go generate (ktgen -object %s -package %s)", e.Object, e.Package)
	return b.String()
}

// FixtureError is a value that a fixture cannot hold, as the guest's type has no room for it.
type FixtureError = fixture.Error
