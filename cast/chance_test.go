package cast_test

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/ktgen/ktgen/cast"
	"github.com/ktgen/ktgen/object"
)

// shuffle puts the sections of code into another order. The rest stays where
// it is, as instructions point to it.
func shuffle(obj *object.Object) {
	rand.Shuffle(len(obj.Code), func(i, j int) { obj.Code[i], obj.Code[j] = obj.Code[j], obj.Code[i] })
}

// render prints everything that a result says.
func render(r *cast.Result) string {
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%s %v %v %v %v\n", placeName(f.Container, f.Map, f.Path), f.Offset, f.Target, f.Space, f.Class)
		for _, e := range f.Evidence {
			fmt.Fprintf(&b, "\t%v %s %d %s\n", e.Kind, e.Section, e.Insn, e.What)
		}
	}
	for _, c := range r.Conflicts {
		fmt.Fprintf(&b, "conflict %s\n", placeName(c.Container, c.Map, c.Path))
		for _, e := range c.Evidence {
			fmt.Fprintf(&b, "\t%v %s %d %s\n", e.Kind, e.Section, e.Insn, e.What)
		}
	}
	return b.String() + strings.Join(r.Gaps, "\n")
}
